--[[ Quarto's cross-references, callouts, figures and tables, for Pandoc alone.

Reads the Markdown document and leaves one that both writers understand. Whatever it cannot resolve goes to the
error stream, one line each: "fault <TAB> words to look for in the source <TAB> what is wrong"; every picture as
"figure <TAB> its path". The caller knows files and lines. ]]

local stringify = pandoc.utils.stringify
local KINDS = { fig = 'Figure', tbl = 'Table', sec = 'Section' }
local CALLOUTS = { note = 'Note', tip = 'Tip', important = 'Important', warning = 'Warning', caution = 'Caution' }
local QUARTO_ONLY = { '^callout%-', '^panel%-', '^content%-', '^column%-', '^cell', '^aside$' }

local numbers, last = {}, { fig = 0, tbl = 0 }
local seen, section = {}, {}

local function report(...)
  io.stderr:write(table.concat({ ... }, '\t'):gsub('\n.*', ''), '\n')
end

local function fault(words, what)
  report('fault', words:match('^[^\n]*'), what)
end

local function kind_of(id)
  local kind = id:match('^(%l+)%-')
  return KINDS[kind] and kind
end

-- 1. What neither output can show ----------------------------------------------------------------------------

local function refuse_raw(raw)
  if raw.format == 'html' and raw.text:match('^<!%-%-') then return {} end
  fault(raw.text, 'raw ' .. raw.format .. ' cannot be shown in every output')
end

local function refuse_cell(code)
  local cell = (code.classes[1] or code.text):match('^{%l+}?')
  if cell then fault(cell, 'code is not run in a report; show what a stage stored') end
end

local function refuse_quarto_div(div)
  for _, class in ipairs(div.classes) do
    local callout = CALLOUTS[class:match('^callout%-(.+)') or '']
    for _, pattern in ipairs(QUARTO_ONLY) do
      if class:match(pattern) and not callout then
        fault('.' .. class, 'this renderer does not know such a block')
      end
    end
  end
end

local function note_id(element)
  local id = element.identifier
  if id == '' then return end
  if seen[id] then fault('#' .. id, 'the same id is used twice') end
  seen[id] = true
end

local function first_look(div)
  refuse_quarto_div(div)
  note_id(div)
end

-- 2. Callouts ------------------------------------------------------------------------------------------------

local function callout(div)
  local kind
  for _, class in ipairs(div.classes) do kind = kind or class:match('^callout%-(.+)') end
  if not CALLOUTS[kind or ''] then return end
  local title, body = pandoc.Inlines(CALLOUTS[kind]), div.content
  if body[1] and body[1].t == 'Header' then
    title = body:remove(1).content
  elseif div.attributes.title then
    title = pandoc.Inlines(div.attributes.title) -- plain text: Pandoc has already taken its backslashes
  end
  local head = pandoc.Div({ pandoc.Plain(title) }, { class = 'callout-title' })
  local rest = pandoc.Div(body, { class = 'callout-body' })
  return pandoc.Div({ head, rest }, pandoc.Attr(div.identifier, { 'callout', 'callout-' .. kind }, { role = 'note' }))
end

-- 3. Numbers -------------------------------------------------------------------------------------------------

local function label(kind, number)
  return KINDS[kind] .. '\u{a0}' .. number
end

local function numbered(kind, id, caption)
  last[kind] = last[kind] + 1
  numbers[id] = tostring(last[kind])
  local text = pandoc.Inlines { pandoc.Str(label(kind, numbers[id])) }
  if #caption > 0 then text:extend { pandoc.Str ':', pandoc.Space() } end
  return text .. caption
end

local function header(element)
  local depth = #section
  if element.classes:includes 'unnumbered' then return end
  if element.level > depth + 1 then
    fault(stringify(element.content), 'this heading skips a level')
  end
  for level = depth + 1, element.level do section[level] = 0 end
  for level = depth, element.level + 1, -1 do section[level] = nil end
  section[element.level] = section[element.level] + 1
  numbers[element.identifier] = table.concat(section, '.')
end

local function mark_head_cells(element)
  for _, row in ipairs(element.head.rows) do
    for _, cell in ipairs(row.cells) do cell.attributes.scope = 'col' end
  end
end

local function boxed_table(element)
  local caption = pandoc.utils.blocks_to_inlines(element.caption.long)
  if kind_of(element.identifier) == 'tbl' then caption = numbered('tbl', element.identifier, caption) end
  local name = #caption > 0 and stringify(caption) or 'Table'
  if #caption > 0 then element.caption.long = { pandoc.Plain { pandoc.Span(caption, { class = 'caption' }) } } end
  mark_head_cells(element)
  local box = { { 'role', 'region' }, { 'tabindex', '0' }, { 'aria-label', name } } -- pairs keep their order
  return pandoc.Div({ element }, pandoc.Attr('', { 'table-box' }, box)), false
end

local function figure(element)
  local caption = pandoc.utils.blocks_to_inlines(element.caption.long)
  if kind_of(element.identifier) == 'fig' then
    element.caption.long = { pandoc.Plain(numbered('fig', element.identifier, caption)) }
  end
  return element, false
end

local function split_caption(div)
  local content, caption = div.content, pandoc.Inlines {}
  if #content > 1 and content[#content].t == 'Para' then caption = content:remove(#content).content end
  return content, caption
end

-- The div that Quarto writes around a table or a picture becomes the table or figure itself.
local function referenced_div(div)
  local kind = kind_of(div.identifier)
  if kind ~= 'tbl' and kind ~= 'fig' then return end
  local content, caption = split_caption(div)
  if kind == 'tbl' and #content == 1 and content[1].t == 'Table' then
    content[1].identifier = div.identifier
    if #caption > 0 then content[1].caption.long = { pandoc.Plain(caption) } end
    return boxed_table(content[1])
  elseif kind == 'fig' and #content == 1 and content[1].content then
    local picture = content[1].t == 'Figure' and content[1].content or { pandoc.Plain(content[1].content) }
    return figure(pandoc.Figure(picture, { pandoc.Plain(caption) }, { id = div.identifier }))
  end
  fault('#' .. div.identifier, 'must hold one ' .. (kind == 'tbl' and 'table' or 'picture') .. ' and its caption')
  return div, false
end

-- 4. References ----------------------------------------------------------------------------------------------

local function reference(citation)
  local id, kind = citation.id, kind_of(citation.id)
  if not numbers[id] then
    fault('@' .. id, seen[id] and 'has no number to refer to' or 'nothing has this id')
    return pandoc.Str('?' .. id)
  end
  local short = citation.mode == 'SuppressAuthor'
  return pandoc.Link(short and numbers[id] or label(kind, numbers[id]), '#' .. id, '', { class = 'crossref' })
end

local function cite(element)
  local links, own = pandoc.Inlines {}, 0
  for _, citation in ipairs(element.citations) do
    if kind_of(citation.id) then
      if #links > 0 then links:extend { pandoc.Str ',', pandoc.Space() } end
      links:insert(reference(citation))
      own = own + 1
    end
  end
  if own == #element.citations then return links end
  if own > 0 then fault('@' .. element.citations[1].id, 'write cross-references and citations apart') end
end

local function picture(image)
  report('figure', image.src)
  image.attributes.alt = image.attributes['fig-alt'] or image.attributes.alt
  image.attributes['fig-alt'] = nil
  return image
end

return {
  {
    RawBlock = refuse_raw, RawInline = refuse_raw, Code = refuse_cell, CodeBlock = refuse_cell, Div = first_look,
    Header = note_id, Figure = note_id, Table = note_id, Image = note_id, Span = note_id,
  },
  { Div = callout },
  { traverse = 'topdown', Header = header, Div = referenced_div, Table = boxed_table, Figure = figure },
  { Cite = cite, Image = picture },
}
