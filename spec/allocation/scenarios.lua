--- What is done again and again with one allocation after the other failing, by
--- spec/c/binding/allocation_test.c. How to add a scenario: CONTRIBUTING.md.
local scenarios = { names = {} }

local by_name = {}

for _, file in ipairs{ "calls", "network", "functions", "policies", "stores", "watching" } do
  for _, scenario in ipairs(require("spec.allocation." .. file)) do
    scenarios.names[#scenarios.names + 1] = scenario.name
    by_name[scenario.name] = scenario
  end
end

--- The function that is one round (true, or nil and an error); the one that says afterwards, with
--- memory, whether nothing is out (true, or false and what is); and, where there is a network, one
--- that makes the breaker forget: libcurl without memory may take a server for unreachable.
function scenarios.set_up(name, servers, directory)
  return by_name[name].set_up(servers, directory)
end

return scenarios
