--[[ What Pandoc's Typst writer leaves out: alternative text, callouts, page breaks, the widths of columns whose text
does not fit the page, and document metadata. ]]

local stringify = pandoc.utils.stringify

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

-- Tables: a page holds about LINE characters of table text; a column needs its longest word and about GAP more.
local LINE, GAP, LONGEST_CELL, LONG_WORD = 112, 2, 120, 16
local BREAK = '[_/]'

local function rows_of(element)
  local rows = pandoc.List {}
  rows:extend(element.head.rows)
  for _, body in ipairs(element.bodies) do rows:extend(body.body) end
  return rows
end

local function longest_word(text)
  local longest = 0
  for word in text:gmatch '[^%s_/]+' do longest = math.max(longest, utf8.len(word) or #word) end
  return longest
end

local function soften(cell)
  local function part(leaf)
    if #leaf.text >= LONG_WORD then
      leaf.text = leaf.text:gsub(BREAK, '%0\u{200b}')
      return leaf
    end
  end
  cell.contents = cell.contents:walk { Str = part, Code = part }
end

-- A long cell asks for more, a very long one for less than its length: it may have more lines.
local function weight(length)
  return length <= LONGEST_CELL and length or LONGEST_CELL + 6 * math.sqrt(length - LONGEST_CELL)
end

local function measured(rows, columns)
  local words, cells = {}, {}
  for column = 1, columns do words[column], cells[column] = 1, 1 end
  for _, row in ipairs(rows) do
    for column, cell in ipairs(row.cells) do
      local text = stringify(cell.contents)
      if #text >= LONG_WORD and text:match(BREAK) then soften(cell) end
      words[column] = math.max(words[column], longest_word(text))
      cells[column] = math.max(cells[column], weight(utf8.len(text) or #text))
    end
  end
  return words, cells
end

local function sum(list)
  local total = 0
  for _, value in ipairs(list) do total = total + value end
  return total
end

-- Every column gets its longest word; what is left goes where cells are longer than that.
local function column_widths(words, cells)
  local taken, wanted = sum(words) + GAP * #words, sum(cells) - sum(words)
  local spare = math.max(0, LINE - taken)
  local total = taken + (wanted > 0 and spare or 0)
  local widths = {}
  for column, word in ipairs(words) do
    local extra = wanted > 0 and spare * (cells[column] - word) / wanted or 0
    widths[column] = math.floor(1000 * (word + GAP + extra) / total) / 1000
  end
  return widths
end

local function sized_table(element)
  local rows, columns = rows_of(element), #element.colspecs
  local words, cells = measured(rows, columns)
  if sum(cells) + GAP * columns > LINE then
    for column, width in ipairs(column_widths(words, cells)) do element.colspecs[column][2] = width end
  end
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
  values['document-keywords'] = pandoc.MetaInlines { raw(texts(values.keywords)) }
  return values
end

return { { Image = image, Math = equation, Div = div, Table = sized_table, Meta = meta } }
