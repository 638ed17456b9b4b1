--[[ What Pandoc's Typst writer leaves out: alternative text, callouts, page breaks, the widths of columns whose text
does not fit the page, and document metadata. ]]

local stringify = pandoc.utils.stringify
local sized_table = dofile(pandoc.path.join { pandoc.path.directory(PANDOC_SCRIPT_FILE), 'widths.lua' })
local PAGE = { line = 112, gap = 2 } -- as in widths.lua

local function quoted(text)
  return '"' .. text:gsub('[\\"]', '\\%0'):gsub('%s+', ' ') .. '"'
end

local function raw(text)
  return pandoc.RawInline('typst', text)
end

local function image(element)
  local arguments = { quoted(element.src) }
  if element.attributes.alt then table.insert(arguments, 'alt: ' .. quoted(element.attributes.alt)) end
  for _, side in ipairs { 'width', 'height' } do
    local length = element.attributes[side]
    if length and length:match('^[%d.]+[%%%a]+$') then
      table.insert(arguments, side .. ': ' .. length:gsub('px$', 'pt'))
    end
  end
  return raw('#image(' .. table.concat(arguments, ', ') .. ')')
end

local function equation(element)
  local before = '#[#set math.equation(alt: ' .. quoted(element.text) .. ');'
  return pandoc.Span { raw(before), element, raw ']' }
end

local function div(element)
  if element.classes:includes 'pagebreak' then return pandoc.RawBlock('typst', '#pagebreak(weak: true)') end
  if element.classes:includes 'table-box' then return element.content end
  if not element.classes:includes 'callout' then return end
  local kind = element.classes[2]:match('^callout%-(.+)')
  local blocks = pandoc.Blocks { pandoc.RawBlock('typst', '#callout(' .. quoted(kind) .. ', [') }
  blocks:extend(element.content[1].content)
  blocks:insert(pandoc.RawBlock('typst', '], ['))
  blocks:extend(element.content[2].content)
  blocks:insert(pandoc.RawBlock('typst', '])'))
  element.content = blocks
  return element
end

local function texts(value)
  if not value then return '()' end
  local list = pandoc.utils.type(value) == 'List' and value or { value }
  local items = {}
  for _, item in ipairs(list) do
    table.insert(items, quoted(stringify(type(item) == 'table' and item.name or item)) .. ',')
  end
  return '(' .. table.concat(items, ' ') .. ')'
end

local function meta(values)
  values['document-authors'] = pandoc.MetaInlines { raw(texts(values.author)) }
  local numbering = values['number-sections'] == false and 'none' or quoted '1.1'
  values['heading-numbering'] = pandoc.MetaInlines { raw(numbering) }
  values['document-keywords'] = pandoc.MetaInlines { raw(texts(values.keywords)) }
  return values
end

return { { Image = image, Math = equation, Div = div, Table = function(element) return sized_table(element, PAGE) end, Meta = meta } }
