--- Figures over time: does one grow?
--
-- A process's memory goes up and down by itself: collectors run in cycles, pools fill and empty. So
-- the time is cut into windows, of each of which the lowest figure counts, and the slope is the
-- median of those between each two windows (Theil and Sen's), which a few odd ones do not move.
local series = {}

local WINDOWS = 10

--- The lowest `{ time, value }` of each of the windows into which the time is cut.
---@param points number[][] in the order of their times
---@param windows integer|nil 10
---@return number[][]
function series.lows(points, windows)
  windows = windows or WINDOWS
  local first, last = points[1] and points[1][1], points[1] and points[#points][1]
  local lows = {}
  for _, point in ipairs(points) do
    local index = math.min(windows, 1 + math.floor((point[1] - first) / (last - first) * windows))
    if last > first and (not lows[index] or point[2] < lows[index][2]) then
      lows[index] = point
    end
  end
  local list = {}
  for index = 1, windows do
    list[#list + 1] = lows[index]
  end
  return list
end

--- The median of the slopes between each two points, in units a second; nil of less than two.
---@param points number[][]
---@return number|nil
function series.slope(points)
  local slopes = {}
  for i = 1, #points do
    for j = i + 1, #points do
      if points[j][1] > points[i][1] then
        slopes[#slopes + 1] = (points[j][2] - points[i][2]) / (points[j][1] - points[i][1])
      end
    end
  end
  table.sort(slopes)
  return slopes[math.ceil(#slopes / 2)]
end

--- What the lows have grown by over the whole time, by their slope: 0 of less than two points.
---@return number growth
---@return number per_minute
function series.growth(points)
  local lows = series.lows(points)
  local slope = series.slope(lows)
  if not slope then
    return 0, 0
  end
  return slope * (points[#points][1] - points[1][1]), slope * 60
end

--- The points from that time on, up to another.
function series.between(points, from, to)
  local list = {}
  for _, point in ipairs(points) do
    if point[1] >= from and point[1] <= to then
      list[#list + 1] = point
    end
  end
  return list
end

return series
