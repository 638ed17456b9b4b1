--[[ The widths of a table's columns where its text does not fit the page, for paper and for Word. ]]

local stringify = pandoc.utils.stringify

-- A page holds about `line` characters of table text; a column needs its longest word and about `gap` more.
local LONGEST_CELL, LONG_WORD = 120, 16
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
local function column_widths(words, cells, page)
  local taken, wanted = sum(words) + page.gap * #words, sum(cells) - sum(words)
  local spare = math.max(0, page.line - taken)
  local total = taken + (wanted > 0 and spare or 0)
  local widths = {}
  for column, word in ipairs(words) do
    local extra = wanted > 0 and spare * (cells[column] - word) / wanted or 0
    widths[column] = math.floor(1000 * (word + page.gap + extra) / total) / 1000
  end
  return widths
end

-- Widths where the text does not fit the page; with `page.always`, also where it does: each as wide as its text.
local function sized_table(element, page)
  local columns = #element.colspecs
  local words, cells = measured(rows_of(element), columns)
  local fits = sum(cells) + page.gap * columns <= page.line
  if fits and not page.always then return element end
  local widths = fits and cells or column_widths(words, cells, page)
  for column, width in ipairs(widths) do
    element.colspecs[column][2] = fits and (width + page.gap) / page.line or width
  end
  return element
end

return sized_table
