-- The documents' figures are what the commands above them make now; `make figures` makes them anew.
local process = require "spec.support.process"
local program = require "neap.program"

local COMMAND = "\n    neap (simulate [^\n]* %-%-out docs/figures/[^\n]*)"

-- Command lines of the pages: { words = …, out = the figure, page = … }.
local function figures()
  local found = {}
  local list = assert(io.popen("ls docs/*.md"))
  for page in list:lines() do
    for line in process.read_file(page):gmatch(COMMAND) do
      local words = {}
      for word in line:gmatch("%S+") do words[#words + 1] = word end
      found[#found + 1] = { words = words, out = words[#words], page = page }
    end
  end
  list:close()
  return found
end

describe("a figure", function()
  for _, figure in ipairs(figures()) do
    it("is current: " .. figure.out, function()
      local drawn = os.tmpname() .. ".svg"
      figure.words[#figure.words] = drawn
      assert.equal(0, program.run(figure.words))
      local now, then_ = process.read_file(drawn), process.read_file(figure.out)
      os.remove(drawn)
      assert.is_true(now == then_, figure.out .. " is not what " .. figure.page .. " says")
    end)

    it("is shown below its command: " .. figure.out, function()
      local name = figure.out:match("[^/]+$")
      assert.is_truthy(process.read_file(figure.page):find("](figures/" .. name .. ")", 1, true))
    end)
  end

  it("stands in the documents", function()
    assert.is_true(#figures() >= 4)
  end)
end)
