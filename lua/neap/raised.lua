--- What a function of the program has raised, as a text: of any value, also of one whose
--- `__tostring` raises or gives no text.
---@param value any
---@return string
return function(value)
  local done, text = pcall(tostring, value)
  if done and type(text) == "string" then
    return text
  end
  return ("a %s"):format(type(value))
end
