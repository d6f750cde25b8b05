---@meta neap.loop.luv
-- Required for what it does: from then on calls in coroutines on luv's loop yield to it.

return {}
