---@meta neap.nginx

local nginx = {}

---@class neap.UpstreamOptions
---@field proxy string prefix of the location that has proxy_pass
---@field recovered? "run"|"refuse" ("run")

--- Answers the request that nginx handles under its idempotency key.
---@param guard neap.Guard
---@param handler fun(req: neap.ServedRequest): table | neap.UpstreamOptions
function nginx.idempotency(guard, handler) end

--- The same in two halves: what is wrong is raised here, in init_by_lua.
---@param guard neap.Guard
---@param handler fun(req: neap.ServedRequest): table | neap.UpstreamOptions
---@return fun() serve for content_by_lua
function nginx.guarded(guard, handler) end

--- For header_filter_by_lua of the location that `proxy` names.
function nginx.note_unreached() end

--- Serves what all clients have counted, as Prometheus scrapes it.
function nginx.metrics() end

--- Serves the status page.
function nginx.status() end

return nginx
