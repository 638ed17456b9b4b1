--[[ What Pandoc's Word writer leaves out: callouts, page breaks, the notice and the run, the widths of columns.
Pictures are those that the caller has made of the report's SVG, beside which Pandoc runs. ]]

local sized_table = dofile(pandoc.path.join { pandoc.path.directory(PANDOC_SCRIPT_FILE), 'widths.lua' })
local PAGE = { line = 92, gap = 4, always = true } -- as in widths.lua

local function styled(style, content)
  return pandoc.Div(content, { ['custom-style'] = style })
end

local function image(element)
  element.src = element.src:gsub('[^%w]', '_') .. '.png'
  if element.attributes.alt then element.caption = { pandoc.Str(element.attributes.alt) } end
  return element
end

local function div(element)
  if element.classes:includes 'pagebreak' then
    return pandoc.RawBlock('openxml', '<w:p><w:r><w:br w:type="page"/></w:r></w:p>')
  end
  if element.classes:includes 'table-box' then return element.content end
  if not element.classes:includes 'callout' then return end
  return { styled('Callout Title', element.content[1].content), styled('Callout', element.content[2].content) }
end

local function about(document)
  local lines = pandoc.List {}
  for _, name in ipairs { 'run-id', 'notice' } do
    local said = document.meta[name]
    if said then
      local text = name == 'run-id' and { pandoc.Str 'Run', pandoc.Space(), table.unpack(said) } or said
      lines:insert(styled('Callout', { pandoc.Para(text) }))
    end
  end
  document.blocks = lines .. document.blocks
  return document
end

return { { Image = image, Div = div, Table = function(element) return sized_table(element, PAGE) end }, { Pandoc = about } }
