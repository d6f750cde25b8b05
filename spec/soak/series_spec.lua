-- Does a figure grow? A saw's teeth are not growth, a leak under them is.
local series = require "spec.soak.series"

-- A collector's figure: it climbs for ten seconds and falls back, and loses `leak` a second.
local function saw(leak)
  local points = {}
  for second = 0, 299 do
    points[#points + 1] = { second, 1000 + 30 * (second % 10) + leak * second }
  end
  return points
end

describe("growth", function()
  it("is none in a saw", function()
    local growth = series.growth(saw(0))
    assert.is_true(math.abs(growth) < 1, growth)
  end)

  it("is what leaks below the saw's teeth", function()
    local growth, per_minute = series.growth(saw(2))
    assert.is_true(math.abs(growth - 598) < 30, growth)
    assert.is_true(math.abs(per_minute - 120) < 6, per_minute)
  end)

  it("is not moved by a few odd points", function()
    local points = saw(0)
    for index = 1, 60 do
      points[index][2] = 5000
    end
    assert.is_true(math.abs((series.growth(points))) < 1)
  end)

  it("of one point, or none, is none", function()
    assert.equal(0, (series.growth{}))
    assert.equal(0, (series.growth{ { 1, 5 } }))
    assert.equal(0, (series.growth{ { 1, 5 }, { 1, 9 } }))
  end)

  it("looks at the time that it is given", function()
    assert.same({ { 1, 0 }, { 2, 0 } }, series.between({ { 0, 0 }, { 1, 0 }, { 2, 0 }, { 3, 0 } },
      1, 2))
  end)
end)
