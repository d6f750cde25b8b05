--- Forty calls side by side in one thread, never more than ten of them on the wire. Calls inside
--- neap.all (and neap.run, neap.spawn) wait together instead of one after the other.
local neap = require "neap"

local function new_catalogue(base_url)
  return neap.client{
    name = "catalogue",
    base_url = base_url,
    bulkhead = { max_concurrent = 10, max_wait = 5 }, -- the eleventh waits until one has ended
  }
end

-- { [id] = body }, and the ids that could not be had.
local function fetch(catalogue, ids)
  local calls, products, missing = {}, {}, {}
  for index, id in ipairs(ids) do
    calls[index] = function()
      return catalogue:get("products/" .. id)
    end
  end
  for index, result in ipairs(neap.all(calls)) do
    local ran, res = result[1], result[2] -- then err, as a call on its own would return it
    if ran and res and res.ok then
      products[ids[index]] = res.body
    else
      missing[#missing + 1] = ids[index]
    end
  end
  return products, missing
end

-- From here on: a shop whose API needs 0.1 s for each answer.
local api = require("examples.support.server").start()
local catalogue = new_catalogue(api:script("shop", { "/slow?headers=0.1 *" }))
local ids = {}
for id = 1, 40 do
  ids[id] = id
end

local began = neap.now()
local products, missing = fetch(catalogue, ids)
local elapsed = neap.now() - began
local most = api:ledger().max_in_flight
print(("%d products in %.1f s; one after the other would be 4 s"):format(#products, elapsed))
print(("the API saw at most %d requests at once"):format(most))
assert(#products == 40 and #missing == 0, "products are missing")
assert(elapsed < 4, "they did not run side by side")
assert(most > 1 and most <= 10, "the bulkhead did not hold")
api:stop()
