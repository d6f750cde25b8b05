---@meta neap.loop.cqueues
-- Required for what it does: from then on calls in coroutines on cqueues's loop yield to it.

return {}
