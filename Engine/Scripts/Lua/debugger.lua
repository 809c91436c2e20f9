-- The step debugger of redis-cli --ldb: what it shows of a script, and its commands, in the words of Redis's own.
--
-- The chunk gets the parts of the prelude that it needs. It is Lua 5.4 itself, as the prelude is. C# calls on_line before
-- each line of the script; while that runs there is no other line event, so whatever a user evaluates runs in a coroutine,
-- which has events of its own and can be ended.

local parts = ...
local native = parts.native
local MOST_LEVELS <const>, MOST_BREAKPOINTS <const> = 10, 64

local source, breakpoints, steps, is_called, current, most, is_hinted

local function log(text)
    native.ldb_log(text)
end

local function set_step(value)
    steps = value
    native.ldb_step(value)
end

-- Values

local escapes = { ["\\"] = "\\\\", ["\""] = "\\\"", ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\a"] = "\\a", ["\b"] = "\\b" }

local function quoted(text)
    text = string.gsub(text, "[\\\"]", escapes)
    text = string.gsub(text, "[^\32-\126]", function(c)
        return escapes[c] or string.format("\\x%02x", string.byte(c))
    end)
    return "\"" .. text .. "\""
end

local names = { ["function"] = "function", thread = "thread" }

local function shown(value, level)
    if level == MOST_LEVELS then return "<max recursion level reached! Nested table?>" end
    local kind = type(value)
    if kind == "string" then return quoted(value) end
    if kind == "number" then return string.format("%g", value) end
    if kind == "boolean" or kind == "nil" then return tostring(value) end
    if kind ~= "table" then return string.format("\"%s@%p\"", names[kind] or "userdata", value) end
    local elements, fields, is_array = {}, {}, true
    for k, v in next, parts.real[value] or value do
        local text = shown(v, level + 1)
        elements[#elements + 1] = text
        fields[#fields + 1] = "[" .. shown(k, level + 1) .. "]=" .. text
        if k ~= #elements then is_array = false end
    end
    return "{" .. table.concat(is_array and elements or fields, "; ") .. "}"
end

local function log_trimmed(text)
    if most == 0 or #text <= most then
        log(text)
        return
    end
    log(string.sub(text, 1, most) .. " ...")
    if is_hinted then return end
    is_hinted = true
    log("<hint> The above reply was trimmed. Use 'maxlen 0' to disable trimming.")
end

-- The source

local function is_breakpoint(line)
    for _, at in ipairs(breakpoints) do
        if at == line then return true end
    end
    return false
end

local function log_line(line)
    local is_current, has_breakpoint = line == current, is_breakpoint(line)
    local mark = is_current and (has_breakpoint and "->#" or "-> ") or has_breakpoint and "  #" or "   "
    log(string.format("%s%-3d ", mark, line) .. (source[line] or "<out of range source code line>"))
end

local function list(around, context)
    for line = 1, #source do
        if math.abs(around - line) <= context then log_line(line) end
    end
end

-- The level of the script's innermost function, seen from the caller.
local function script_level()
    local level = 2
    while true do
        local info = debug.getinfo(level, "S")
        if not info then return nil end
        if string.find(info.short_src, "user_script", 1, true) then return level - 1 end
        level = level + 1
    end
end

-- Commands

local function print_variable(name)
    local level = script_level()
    while level do
        if not debug.getinfo(level, "l") then break end
        local i = 1
        while true do
            local known, value = debug.getlocal(level, i)
            if not known then break end
            if known == name then
                log_trimmed("<value> " .. shown(value, 0))
                return
            end
            i = i + 1
        end
        level = level + 1
    end
    if name == "KEYS" or name == "ARGV" then log_trimmed("<value> " .. shown(rawget(parts.globals, name), 0))
    else log("No such variable.") end
end

local function print_all()
    local level, count, i = script_level(), 0, 1
    while level do
        local name, value = debug.getlocal(level, i)
        if not name then break end
        if string.sub(name, 1, 1) ~= "(" and not string.find(name, "^lua51[%d_]*%l$") then -- what the translator added
            log_trimmed("<value> " .. name .. " = " .. shown(value, 0))
            count = count + 1
        end
        i = i + 1
    end
    if count == 0 then log("No local variables in the current context.") end
end

local function change_breakpoint(argument)
    local line = math.tointeger(tonumber(argument))
    if not line or not string.find(argument, "^%-?%d+$") then
        log("Invalid argument:'" .. argument .. "'")
    elseif line == 0 then
        breakpoints = {}
        log("All breakpoints removed.")
    elseif line > 0 then
        if #breakpoints == MOST_BREAKPOINTS then
            log("Too many breakpoints set.")
        elseif line > #source or is_breakpoint(line) then
            log("Wrong line number.")
        else
            breakpoints[#breakpoints + 1] = line
            list(line, 1)
        end
    else
        for i, at in ipairs(breakpoints) do
            if at == -line then
                table.remove(breakpoints, i)
                log("Breakpoint removed.")
                return
            end
        end
        log("No breakpoint in the specified line.")
    end
end

local function trace()
    local level, is_first = script_level(), true
    while level do
        local info = debug.getinfo(level, "Snl")
        if not info then break end
        if string.find(info.short_src, "user_script", 1, true) then
            log((is_first and "In " or "From ") .. (info.name or "top level") .. ":")
            log_line(info.currentline)
        end
        is_first = false
        level = level + 1
    end
    if is_first then log("<error> Can't retrieve Lua stack.") end
end

-- Runs something of the user's: with events, and so that an error ends nothing else.
local function run(f, ...)
    return coroutine.resume(coroutine.create(f), ...)
end

local function message_of(e)
    if type(e) == "table" then e = rawget(e, "err") end
    return tostring(e)
end

local function evaluate(code)
    local f, message = parts.compile("return " .. code, "@ldb_eval")
    if not f then f, message = parts.compile(code, "@ldb_eval") end
    if not f then
        log("<error> " .. message)
        return
    end
    local ok, result = run(f)
    if ok then log_trimmed("<retval> " .. shown(result, 0)) else log("<error> " .. message_of(result)) end
end

local HELP = [[
Redis Lua debugger help:
[h]elp               Show this help.
[s]tep               Run current line and stop again.
[n]ext               Alias for step.
[c]ontinue           Run till next breakpoint.
[l]ist               List source code around current line.
[l]ist [line]        List source code around [line].
                     line = 0 means: current position.
[l]ist [line] [ctx]  In this form [ctx] specifies how many lines
                     to show before/after [line].
[w]hole              List all source code. Alias for 'list 1 1000000'.
[p]rint              Show all the local variables.
[p]rint <var>        Show the value of the specified variable.
                     Can also show global vars KEYS and ARGV.
[b]reak              Show all breakpoints.
[b]reak <line>       Add a breakpoint to the specified line.
[b]reak -<line>      Remove breakpoint from the specified line.
[b]reak 0            Remove all breakpoints.
[t]race              Show a backtrace.
[e]val <code>        Execute some Lua code (in a different callframe).
[r]edis <cmd>        Execute a Redis command.
[m]axlen [len]       Trim logged Redis replies and Lua var dumps to len.
                     Specifying zero as <len> means unlimited.
[a]bort              Stop the execution of the script. In sync
                     mode dataset changes will be retained.

Debugger functions you can call from Lua scripts:
redis.debug()        Produce logs in the debugger console.
redis.breakpoint()   Stop execution like if there was a breakpoint in the
                     next line of code.
]]

local commands = {}

function commands.help()
    for line in string.gmatch(HELP, "([^\n]*)\n") do log(line) end
end

function commands.trace()
    trace()
end

function commands.maxlen(_, length)
    if length then
        is_hinted = true
        most = math.max(0, math.tointeger(tonumber(string.match(length, "^%-?%d+"))) or 0)
        if most ~= 0 and most <= 60 then most = 60 end
    end
    if most == 0 then log("<value> replies are unlimited.")
    else log("<value> replies are truncated at " .. most .. " bytes.") end
end

commands["break"] = function(_, ...)
    local count = select("#", ...)
    for i = 1, count do change_breakpoint((select(i, ...))) end
    if count ~= 0 then return end
    if #breakpoints == 0 then
        log("No breakpoints set. Use 'b <line>' to add one.")
        return
    end
    log(#breakpoints .. " breakpoints set:")
    for _, line in ipairs(breakpoints) do log_line(line) end
end

function commands.eval(_, ...)
    evaluate(table.concat({ ... }, " "))
end

function commands.redis(_, ...)
    set_step(true) -- so that the command and its reply are shown
    run(parts.call, ...)
    set_step(false)
end

function commands.print(_, name)
    if name then print_variable(name) else print_all() end
end

function commands.list(_, line, context)
    local around = line and tonumber(string.match(line, "^%d+")) or 0
    list(around > 0 and around or current, context and tonumber(string.match(context, "^%d+")) or context and 0 or 5)
end

function commands.whole()
    list(1, 1000000)
end

local short = {
    h = "help", t = "trace", m = "maxlen", b = "break", e = "eval", r = "redis", p = "print", l = "list", w = "whole",
    s = "step", n = "step", next = "step", c = "continue", a = "abort",
}

-- Runs a command. True if the script goes on.
local function obey(name, ...)
    if not name then
        -- The client has left: what is left of the script runs without it.
        breakpoints = {}
        return true
    end
    name = string.lower(name)
    name = short[name] or name
    if name == "step" then
        set_step(true)
        return true
    elseif name == "continue" then
        return true
    elseif name == "abort" then
        native.ldb_abort()
        return true
    end
    local command = commands[name]
    if command and (name ~= "redis" or select("#", ...) ~= 0) then command(name, ...)
    else log("<error> Unknown Redis Lua debugger command or wrong number of arguments.") end
    return false
end

local exports = {}

-- A session begins.
function exports.begin(lines)
    source, breakpoints, is_called, current, most, is_hinted = lines, {}, false, 1, 256, false
    set_step(true)
end

-- The script has come to a line, or has been running for long without a stop.
function exports.on_line(is_late)
    local info = debug.getinfo(2, "Sl")
    if not info or not string.find(info.short_src, "user_script", 1, true) then return end
    current = info.currentline
    local has_breakpoint = is_called or (not is_late and is_breakpoint(current))
    if not (steps or has_breakpoint or is_late) then return end
    local reason = is_called and "redis.breakpoint() called" or has_breakpoint and "break point"
        or is_late and "timeout reached, infinite loop?" or "step over"
    is_called = false
    set_step(false)
    log("* Stopped at " .. current .. ", stop reason = " .. reason)
    log_line(current)
    while not obey(native.ldb_next()) do end
    native.ldb_sees_lines(steps or #breakpoints ~= 0)
end

-- redis.breakpoint()
function exports.breakpoint()
    is_called = true
    native.ldb_sees_lines(true)
    return true
end

-- redis.debug(…)
function exports.show(...)
    local level = script_level()
    local line = level and debug.getinfo(level, "l").currentline or current
    local values = { ... }
    for i = 1, select("#", ...) do values[i] = shown(values[i], 0) end
    log("<debug> line " .. line .. ": " .. table.concat(values, ", "))
end

exports.log_trimmed = log_trimmed

return exports
