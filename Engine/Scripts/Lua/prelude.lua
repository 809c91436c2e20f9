-- What scripts see of Lua: the library of Lua 5.1, made of that of 5.4, with no way out of the sandbox.
--
-- The chunk gets the functions that are written in C#, and returns those that C# calls. It is Lua 5.4 itself, and not
-- translated; so whatever it gives to a script must be a double, never an integer. A function in C# cannot raise an
-- error: it returns `FAILED` and a message instead, and its caller here raises it.

local native = ...
local type, next, select, rawget, rawset, rawlen, rawequal, error, pcall, xpcall, tostring, setmetatable, getmetatable, collectgarbage
    = type, next, select, rawget, rawset, rawlen, rawequal, error, pcall, xpcall, tostring, setmetatable, getmetatable, collectgarbage
local tonumber5_4 = tonumber
local string5_4, table5_4, math5_4, coroutine5_4, debug = string, table, math, coroutine, debug
local format5_4, gsub5_4, find5_4, sub5_4, rep5_4 = string.format, string.gsub, string.find, string.sub, string.rep
local concat5_4, unpack5_4, sort5_4 = table.concat, table.unpack, table.sort
local numberType, toInteger, floor5_4 = math.type, math.tointeger, math.floor
local getinfo, getupvalue, setupvalue, upvaluejoin = debug.getinfo, debug.getupvalue, debug.setupvalue, debug.upvaluejoin
local FAILED = native.failed
local infinity = math.huge

-- Numbers

-- A number as 5.1 prints it.
local function print_number(x)
    return format5_4("%.14g", x)
end

-- An operand of "..": a number becomes a string.
local function operand(x)
    if numberType(x) then return format5_4("%.14g", x) end
    return x
end

-- A position or size, cut down to an integer as a C cast does.
local function integer(x)
    local i = toInteger(x)
    if i then return i end
    if x ~= x then return 0 end
    if x >= 9.2e18 then return 9223372036854775807 end
    if x <= -9.2e18 then return -9223372036854775807 end
    return toInteger(x < 0 and -floor5_4(-x) or floor5_4(x))
end

-- A number as a C cast makes an integer of it on x64, where what does not fit becomes the least one.
local function cast(x)
    local i = toInteger(x)
    if i then return i end
    if x >= 9223372036854775808.0 or x < -9223372036854775808.0 or x ~= x then return -9223372036854775807 - 1 end
    return toInteger(x < 0 and -floor5_4(-x) or floor5_4(x))
end

-- The same, to an unsigned integer.
local function cast_unsigned(x)
    if x >= 9223372036854775808.0 then return cast(x - 9223372036854775808.0) ~ (-9223372036854775807 - 1) end
    return cast(x)
end

local function tonumber(v, base)
    if base == nil or base == 10 then
        if numberType(v) then return v end
        if type(v) ~= "string" then return nil end
        local n = tonumber5_4(v)
        if numberType(n) == "float" then return n end
        if n and n ~= 0 and not find5_4(v, "[xX]") then return n + 0.0 end
        if n == 0 and not find5_4(v, "-", 1, true) then return 0.0 end
        return native.tonumber(v)
    end
    base = integer(base)
    if type(v) ~= "string" then v = operand(v) end
    -- As strtoul does it: a prefix for hexadecimal digits, and what is negative wraps round.
    if base == 16 then v = gsub5_4(v, "^(%s*[-+]?)0[xX](%x)", "%1%2") end
    local minus, digits = string5_4.match(v, "^%s*([-+]?)(%w+)%s*$")
    if not digits then return nil end
    local n = 0.0
    for i = 1, #digits do
        local digit = tonumber5_4(sub5_4(digits, i, i), 36)
        if digit >= base then return nil end
        n = n * base + digit
    end
    if n >= 18446744073709551616.0 then return 18446744073709551615.0 end
    if minus == "-" and n ~= 0 then return 18446744073709551616.0 - n end
    return n
end

-- Raises the error of luaL_argerror: about an argument of the function at that level, seen from here, which the caller of
-- that function called by the name in the message.
local function argument_error(position, message, level)
    level = level or 2
    local info = getinfo(level, "n")
    if info.namewhat == "method" then position = position - 1 end
    local name = "'" .. (info.name or "?") .. "'"
    if position == 0 then error("calling " .. name .. " on bad self (" .. message .. ")", level + 1) end
    error("bad argument #" .. position .. " to " .. name .. " (" .. message .. ")", level + 1)
end

-- The argument as a number, or else the error of luaL_checknumber. The level is that of the function whose argument it is,
-- seen from here: usually it is the one that calls.
local function check_number(x, position, level)
    if numberType(x) then return x end
    local n = type(x) == "string" and tonumber(x)
    if n then return n end
    argument_error(position, "number expected, got " .. type(x), (level or 2) + 1)
end

local function check_string(x, position)
    if type(x) == "string" then return x end
    if numberType(x) then return print_number(x) end
    argument_error(position, "string expected, got " .. type(x), 3)
end

local function check_table(x, position, level)
    if type(x) == "table" then return x end
    argument_error(position, "table expected, got " .. type(x), (level or 2) + 1)
end

-- Read-only tables: an empty table stands for the real one, which no script ever gets hold of.

local real = {}             -- of each stand-in
local shown_metatable = {}  -- of each stand-in: what getmetatable returns
local READONLY = "Attempt to modify a readonly table"

local function denied()
    error(READONLY, 2)
end

local function readonly(t)
    local stand_in = setmetatable({}, { __index = t, __newindex = denied })
    real[stand_in] = t
    return stand_in
end

-- Error messages

-- 5.4 says "attempt to call a nil value (global 'x')", and 5.1 "attempt to call global 'x' (a nil value)".
local function as_5_1(message)
    if find5_4(message, "attempt to ", 1, true) then
        message = gsub5_4(message, " %(for iterator 'for iterator'%)", "")
        message = gsub5_4(message, "attempt to ([%w ]-) an? (%w+) value %((%w+) '([^']*)'%)", "attempt to %1 %3 '%4' (a %2 value)")
    elseif find5_4(message, "bad argument ", 1, true) then
        message = gsub5_4(message, "(bad argument #%d+ to ')%w+%.", "%1")
    end
    return message
end

-- Makes an error a table {err, source, line}, as Redis's own handler does. The place is that of the script's function
-- that raised it, or that called the function of the library that did.
local function on_error(e)
    -- The error of a script that is being ended can be anything, even something that would run code of the script's.
    if native.interrupted() then e = { err = "interrupted" } end
    local level = 2
    local info = getinfo(level, "Sl")
    while info and (info.what == "C" or info.source == "=redis") do
        level = level + 1
        info = getinfo(level, "Sl")
    end
    if type(e) ~= "table" then
        e = { err = "ERR " .. as_5_1(tostring(operand(e))) }
    elseif real[e] then
        return e
    end
    if info then
        rawset(e, "source", info.source)
        rawset(e, "line", print_number(info.currentline))
    end
    return e
end

local function finish_pcall(ok, ...)
    if ok then return true, ... end
    local e = ...
    if type(e) == "table" then
        local message = rawget(e, "err")
        if type(message) == "string" then return false, message end
    elseif type(e) == "string" then
        return false, as_5_1(e)
    end
    return false, e
end

local function pcall5_1(...)
    if select("#", ...) == 0 then argument_error(1, "value expected") end
    return finish_pcall(pcall(...))
end

local function xpcall5_1(f, handler)
    return xpcall(f, function(e)
        -- A script that is being ended must not go on in its handler, where no hook would find it.
        if native.interrupted() then return e end
        if type(e) == "string" then e = as_5_1(e) end
        return handler(e)
    end)
end

-- Basic functions

local G = {}                -- the scripts' globals
local arguments             -- of vararg functions, as 5.0 gave them

local function three(f, s, v)
    return f, s, v
end

-- What a numeric "for" begins with. In 5.1 its values may be strings, it begins a step earlier and adds that again, and
-- nothing is less than or equal to what is not a number.
local function range(first, last, ...)
    local a, b, c = tonumber(first), tonumber(last), 1.0
    if select("#", ...) ~= 0 then c = tonumber((...)) end
    if not a then error("'for' initial value must be a number", 2) end
    if not b then error("'for' limit must be a number", 2) end
    if not c then error("'for' step must be a number", 2) end
    if c == 0 then -- for ever, or not at all; 5.4 refuses it
        if b <= a then return a, -infinity, -5e-324 end
        return 1.0, 0.0, 1.0
    end
    a = a - c + c
    if a ~= a or b ~= b then return 1.0, 0.0, 1.0 end
    return a, b, c
end

local function metamethod(v, event)
    local m = type(v) == "table" and getmetatable(v) or type(v) == "userdata" and getmetatable(v)
    return type(m) == "table" and rawget(m, event)
end

-- a % b: 5.4 takes the exact remainder, with the sign of b; 5.1 computes it, which rounds.
local function remainder(a, b)
    if numberType(a) and numberType(b) then return a - floor5_4(a / b) * b end
    local f = metamethod(a, "__mod") or metamethod(b, "__mod")
    if f then return (f(a, b)) end
    local x, y = type(a) == "string" and tonumber(a) or numberType(a) and a, type(b) == "string" and tonumber(b) or numberType(b) and b
    if x and y then return x - floor5_4(x / y) * y end
    error("attempt to perform arithmetic on a " .. type(x and b or a) .. " value", 2)
end

function arguments(...)
    return { n = select("#", ...) + 0.0, ... }
end

local function next5_1(t, k)
    check_table(t, 1)
    if numberType(k) then k = toInteger(k) or k end
    local n, v = next(real[t] or t, k)
    if numberType(n) == "integer" then return n + 0.0, v end
    return n, v
end

-- The iterator has a state of its own, since converting each key back to an integer would take as long again.
local function pairs(t)
    check_table(t, 1)
    local key, value
    local all = real[t] or t
    return function()
        key, value = next(all, key)
        if numberType(key) == "integer" then return key + 0.0, value end
        return key, value
    end, t, nil
end

local function ipairs_step(t, i)
    i = i + 1.0
    local v = rawget(t, i)
    if v ~= nil then return i, v end
end

local function ipairs(t)
    check_table(t, 1)
    return ipairs_step, real[t] or t, 0.0
end

local function rawget5_1(t, k)
    check_table(t, 1)
    return rawget(real[t] or t, k)
end

local function rawset5_1(t, k, v)
    check_table(t, 1)
    if real[t] then error(READONLY, 2) end
    return rawset(t, k, v)
end

local function tostring5_1(...)
    local v = ...
    if numberType(v) then return format5_4("%.14g", v) end
    return tostring(...)
end

local string_metatable      -- what scripts see of it

local function getmetatable5_1(v)
    local t = type(v)
    if t == "table" then
        if real[v] then return shown_metatable[v] end
    elseif t == "string" then
        return string_metatable
    elseif t ~= "userdata" then
        return nil
    end
    return getmetatable(v)
end

local function setmetatable5_1(t, m)
    check_table(t, 1)
    if real[t] then error(READONLY, 2) end
    if m ~= nil and type(m) ~= "table" then argument_error(2, "nil or table expected") end
    local finalizer = m and rawget(m, "__gc")
    if finalizer ~= nil then
        -- Tables have no finalizers in 5.1, and one would run whenever it likes, even after the script.
        if real[m] then m = real[m] end
        rawset(m, "__gc", nil)
        local ok, e = pcall(setmetatable, t, m)
        rawset(m, "__gc", finalizer)
        if not ok then error(e, 2) end
        return t
    end
    return setmetatable(t, m)
end

local function select5_1(n, ...)
    if n == "#" then return select("#", ...) + 0.0 end
    n = integer(check_number(n, 1))
    return select(n, ...)
end

local function unpack(t, i, j)
    if type(t) ~= "table" then check_table(t, 1) end
    i = i and integer(check_number(i, 2)) or 1
    j = j and integer(check_number(j, 3)) or #t
    return unpack5_4(t, i, j)
end

local function collectgarbage5_1(option, argument)
    if option == nil or option == "collect" then
        collectgarbage("collect")
        return 0.0
    elseif option == "count" then
        return collectgarbage("count") + 0.0
    elseif option == "step" then
        return collectgarbage("step", 0)
    elseif option == "stop" or option == "restart" or option == "setpause" or option == "setstepmul" then
        return 0.0 -- the collector belongs to all scripts
    end
    argument_error(1, "invalid option '" .. tostring5_1(option) .. "'")
end

local function gcinfo()
    return floor5_4(collectgarbage("count")) + 0.0
end

local function newproxy(m)
    local proxy = native.userdata()
    if m == true then
        debug.setmetatable(proxy, {})
    elseif type(m) == "userdata" and getmetatable(m) then
        debug.setmetatable(proxy, getmetatable(m))
    end
    return proxy
end

local shown_globals         -- what scripts see of G

-- Compiles a program. It runs in the given environment, or in its stand-in if it assigns to variables that exist there.
local function compile(text, name, environment, stand_in, within)
    local f, message = (within and native.compile_within or native.compile)(text, name)
    if not f or f == FAILED then return nil, message end
    setupvalue(f, 1, message and stand_in or environment)
    return f(operand, three, arguments, remainder, range)
end

local function loadstring(text, name)
    text = check_string(text, 1)
    return compile(text, name == nil and text or check_string(name, 2), G, shown_globals, true)
end

local function load5_1(f, name)
    if type(f) ~= "function" then argument_error(1, "function expected, got " .. type(f)) end
    local pieces, count = {}, 0
    while true do
        local piece = operand(f())
        if piece == nil or piece == "" then break end
        if type(piece) ~= "string" then return nil, "reader function must return a string" end
        count = count + 1
        pieces[count] = piece
    end
    return compile(concat5_4(pieces), name == nil and "=(load)" or check_string(name, 2), G, shown_globals, true)
end

-- The function that f stands for: itself, or the one at that level of the call stack, seen from the caller's caller.
local function function_at(f)
    if type(f) == "function" then return f end
    local level = f == nil and 1 or integer(check_number(f, 1, 3))
    if level < 0 then argument_error(1, "level must be non-negative", 3) end
    if level == 0 then return nil end
    local info = getinfo(level + 2, "f")
    if not info then argument_error(1, "invalid level", 3) end
    return info.func
end

-- The number of the upvalue by which a script's function finds its globals; nil if it uses none, or is not a script's.
local function environment_of(f)
    if not f then return nil end
    local info = getinfo(f, "S")
    if info.what == "C" or info.source == "=redis" then return nil end
    for i = 1, 255 do
        local name = getupvalue(f, i)
        if not name then return nil end
        if name == "_ENV" then return i end
    end
end

local function getfenv(f)
    f = function_at(f)
    local i = environment_of(f)
    if not i then return shown_globals end
    local _, environment = getupvalue(f, i)
    if environment == G then return shown_globals end
    return environment
end

local function setfenv(f, environment)
    check_table(environment, 2)
    local g = function_at(f)
    if not g then error("'setfenv' cannot change environment of given object", 2) end
    local info = getinfo(g, "S")
    if info.what == "C" or info.source == "=redis" then error("'setfenv' cannot change environment of given object", 2) end
    local i = environment_of(g)
    if i then
        upvaluejoin(g, i, function() return environment end, 1)
    end
    if type(f) == "function" then return f end
    return g
end

-- table

local table5_1 = {}

local function raw_length(t)
    return #(real[t] or t)
end

local function check_writable(t)
    check_table(t, 1, 3)
    if real[t] then error(READONLY, 3) end
end

function table5_1.concat(t, separator, i, j)
    check_table(t, 1)
    separator = separator == nil and "" or check_string(separator, 2)
    i = i == nil and 1 or integer(check_number(i, 3))
    j = j == nil and #t or integer(check_number(j, 4))
    local parts, count = {}, 0
    for at = i, j do
        local v = rawget(t, at)
        if numberType(v) then
            v = format5_4("%.14g", v)
        elseif type(v) ~= "string" then
            error("invalid value (" .. type(v) .. ") at index " .. at .. " in table for 'concat'", 2)
        end
        count = count + 1
        parts[count] = v
    end
    return concat5_4(parts, separator)
end

function table5_1.insert(t, ...)
    check_writable(t)
    local count = select("#", ...)
    local e = #t + 1
    if count == 1 then
        rawset(t, e, (...))
    elseif count == 2 then
        local position, v = ...
        position = integer(check_number(position, 2))
        if position > e then e = position end
        for i = e, position + 1, -1 do rawset(t, i, rawget(t, i - 1)) end
        rawset(t, position, v)
    else
        error("wrong number of arguments to 'insert'", 2)
    end
end

function table5_1.remove(t, position)
    check_writable(t)
    local e = #t
    position = position == nil and e or integer(check_number(position, 2))
    if position < 1 or position > e then return end
    local v = rawget(t, position)
    for i = position, e - 1 do rawset(t, i, rawget(t, i + 1)) end
    rawset(t, e, nil)
    return v
end

function table5_1.getn(t)
    check_table(t, 1)
    return raw_length(t) + 0.0
end

function table5_1.setn()
    error("'setn' is obsolete", 2)
end

function table5_1.maxn(t)
    check_table(t, 1)
    local most = 0.0
    for k in next, real[t] or t do
        if numberType(k) and k > most then most = k + 0.0 end
    end
    return most
end

function table5_1.foreach(t, f)
    check_table(t, 1)
    for k, v in next5_1, t do
        local result = f(k, v)
        if result ~= nil then return result end
    end
end

function table5_1.foreachi(t, f)
    check_table(t, 1)
    for i = 1.0, raw_length(t) do
        local result = f(i, rawget(t, i))
        if result ~= nil then return result end
    end
end

-- The quicksort of 5.1, step by step, since the order of elements that compare equal depends on it.
local function sort_range(a, l, u, less)
    while l < u do
        local low, high = a[l], a[u]
        if less(high, low) then a[l], a[u] = high, low end
        if u - l == 1 then break end
        local i = (l + u) // 2
        local middle = a[i]
        low = a[l]
        if less(middle, low) then
            a[i], a[l] = low, middle
        else
            high = a[u]
            if less(high, middle) then a[i], a[u] = high, middle end
        end
        if u - l == 2 then break end
        local pivot = a[i]
        a[i], a[u - 1] = a[u - 1], pivot
        i = l
        local j = u - 1
        while true do
            i = i + 1
            while less(a[i], pivot) do
                if i > u then error("invalid order function for sorting") end
                i = i + 1
            end
            j = j - 1
            while less(pivot, a[j]) do
                if j < l then error("invalid order function for sorting") end
                j = j - 1
            end
            if j < i then break end
            a[i], a[j] = a[j], a[i]
        end
        a[u - 1], a[i] = a[i], a[u - 1]
        if i - l < u - i then
            j = l
            i = i - 1
            l = i + 2
        else
            j = i + 1
            i = u
            u = j - 2
        end
        sort_range(a, j, i, less)
    end
end

function table5_1.sort(t, less)
    check_writable(t)
    if less == nil then
        -- Equal strings and equal numbers are the same, so nobody can tell how the order came about. A long sort in C could
        -- not be ended.
        if rawlen(t) <= 50000 and not getmetatable(t) then return sort5_4(t) end
        less = function(a, b) return a < b end
    end
    if type(less) ~= "function" then argument_error(2, "function expected, got " .. type(less)) end
    sort_range(t, 1, #t, less)
end

-- string

local string5_1 = {}

local function checked(first, ...)
    if first == FAILED then error((...), 2) end
    return first, ...
end

function string5_1.len(s)
    return #check_string(s, 1) + 0.0
end

function string5_1.sub(s, i, j)
    if type(s) ~= "string" then s = check_string(s, 1) end
    i = toInteger(i) or cast(check_number(i, 2))
    if j == nil then return sub5_4(s, i) end
    return sub5_4(s, i, toInteger(j) or cast(check_number(j, 3)))
end

function string5_1.upper(s)
    return string5_4.upper(check_string(s, 1))
end

function string5_1.lower(s)
    return string5_4.lower(check_string(s, 1))
end

function string5_1.reverse(s)
    return string5_4.reverse(check_string(s, 1))
end

function string5_1.rep(s, n)
    s = check_string(s, 1)
    return rep5_4(s, integer(check_number(n, 2)))
end

local function doubles(n, ...)
    if n then return n + 0.0, doubles(...) end
end

function string5_1.byte(s, i, j)
    s = check_string(s, 1)
    i = i == nil and 1 or cast(check_number(i, 2))
    if j == nil or j == i then
        local b = string5_4.byte(s, i)
        if b then return b + 0.0 end
        return
    end
    j = cast(check_number(j, 3))
    if i < 0 then i = i + #s + 1 end
    if j < 0 then j = j + #s + 1 end
    if i < 1 then i = 1 end
    if j > #s then j = #s end
    if i > j then return end
    local bytes = { string5_4.byte(s, i, j) }
    for at = 1, #bytes do bytes[at] = bytes[at] + 0.0 end
    return unpack5_4(bytes)
end

function string5_1.char(...)
    local codes = { ... }
    for i = 1, select("#", ...) do
        local code = integer(check_number(codes[i], i))
        if code < 0 or code > 255 then argument_error(i, "invalid value") end
        codes[i] = code
    end
    return string5_4.char(unpack5_4(codes))
end

-- There is no bytecode that could be loaded again, so this is only its beginning.
function string5_1.dump(f)
    if type(f) ~= "function" then argument_error(1, "function expected, got " .. type(f)) end
    return "\27Lua"
end

-- Patterns are matched in C#, as in 5.1, and so that SCRIPT KILL ends a match that would take for ever.

function string5_1.find(s, pattern, init, plain)
    s, pattern = check_string(s, 1), check_string(pattern, 2)
    init = init == nil and 1 or cast(check_number(init, 3))
    return checked(native.find(s, pattern, init, plain and true or false))
end

function string5_1.match(s, pattern, init)
    s, pattern = check_string(s, 1), check_string(pattern, 2)
    init = init == nil and 1 or cast(check_number(init, 3))
    return checked(native.match(s, pattern, init))
end

function string5_1.gmatch(s, pattern)
    s, pattern = check_string(s, 1), check_string(pattern, 2)
    local at = 0
    local function step(after, ...)
        if after == FAILED then error((...), 2) end
        if not after then
            at = #s + 1
            return nil
        end
        at = after
        return ...
    end
    return function()
        if at > #s then return nil end
        return step(native.next_match(s, pattern, at))
    end
end

string5_1.gfind = string5_1.gmatch

function string5_1.gsub(s, pattern, replacement, most)
    s, pattern = check_string(s, 1), check_string(pattern, 2)
    most = most == nil and #s + 1 or integer(check_number(most, 4))
    local kind = type(replacement)
    if kind == "number" then
        replacement, kind = print_number(replacement), "string"
    elseif kind ~= "string" and kind ~= "function" and kind ~= "table" then
        argument_error(3, "string/function/table expected")
    end
    if kind == "string" then return checked(native.gsub(s, pattern, replacement, most)) end
    local parts, count = {}, 0
    local matches, at, copied = 0, 0, 0

    local function replace(first, ...)
        local v
        if kind == "function" then v = replacement(first, ...) else v = replacement[first] end
        if numberType(v) then return print_number(v) end
        if v and type(v) ~= "string" then error("invalid replacement value (a " .. type(v) .. ")", 3) end
        return v
    end

    -- One match: where it begins and ends, and its captures.
    local function step(from, to, ...)
        if from == FAILED then error((to), 3) end
        if not from then return false end
        matches = matches + 1
        if from > copied then
            count = count + 1
            parts[count] = sub5_4(s, copied + 1, from)
        end
        count = count + 1
        parts[count] = replace(...) or sub5_4(s, from + 1, to)
        copied = to
        if to > from then
            at = to
        else
            at = to + 1
            if to < #s then
                count = count + 1
                parts[count] = sub5_4(s, to + 1, to + 1)
                copied = to + 1
            end
        end
        return true
    end

    local anchored = sub5_4(pattern, 1, 1) == "^"
    while matches < most and at <= #s do
        if not step(native.match_from(s, pattern, at)) or anchored then break end
    end
    if copied < #s then
        count = count + 1
        parts[count] = sub5_4(s, copied + 1)
    end
    return concat5_4(parts), matches + 0.0
end

local formats, format_count = {}, 0

-- Flags that mean something for numbers only, and that 5.4 refuses elsewhere.
local function without_sign(flags)
    return (gsub5_4(flags, "^[-+ #0]*", function(f) return find5_4(f, "-", 1, true) and "-" or "" end))
end

-- The conversions of a format, and the format itself with those that 5.4 does not know replaced by those that do it.
local function parse_format(text)
    local conversions, count = {}, 0
    local position, out = 1, {}
    while true do
        local start = find5_4(text, "%", position, true)
        if not start then break end
        out[#out + 1] = sub5_4(text, position, start - 1)
        if sub5_4(text, start + 1, start + 1) == "%" then
            out[#out + 1] = "%%"
            position = start + 2
        else
            local _, stop, flags, conversion = find5_4(text, "^%%([-+ #0]*%d*%.?%d*)(.?)", start)
            local width, precision = string5_4.match(flags, "(%d*)%.?(%d*)$")
            if #string5_4.match(flags, "^[-+ #0]*") > 5 then return nil, "invalid format (repeated flags)" end
            if #width - #(string5_4.match(width, "^0*")) > 2 or #precision > 2 then
                return nil, "invalid format (width or precision too long)"
            end
            if conversion == "" or not find5_4("cdiouxXeEfgGqs", conversion, 1, true) then
                return nil, "invalid option '%" .. conversion .. "' to 'format'"
            end
            count = count + 1
            conversions[count] = conversion
            out[#out + 1] = "%"
            if conversion == "d" or conversion == "i" or conversion == "u" then
                -- The "#" flag means nothing here, and 5.4 refuses it.
                out[#out + 1] = (gsub5_4(flags, "#", ""))
                out[#out + 1] = "d"
            elseif conversion == "q" or conversion == "s" then
                out[#out + 1] = without_sign(flags)
                out[#out + 1] = "s"
            elseif conversion == "c" then
                out[#out + 1] = (gsub5_4(without_sign(flags), "%..*", ""))
                out[#out + 1] = "s" -- a zero byte ends the text in C, so that nothing is left of it
            elseif conversion == "o" or conversion == "x" or conversion == "X" then
                out[#out + 1] = (gsub5_4(flags, "^[-+ #0]*", function(f) return gsub5_4(f, "[+ ]", "") end))
                out[#out + 1] = conversion
            else
                out[#out + 1] = flags
                out[#out + 1] = conversion
            end
            position = stop + 1
        end
    end
    out[#out + 1] = sub5_4(text, position)
    return { conversions = conversions, count = count, text = concat5_4(out) }
end

local format_unsigned

local quoted = { ["\""] = "\\\"", ["\\"] = "\\\\", ["\n"] = "\\\n", ["\r"] = "\\r", ["\0"] = "\\000" }

function string5_1.format(text, ...)
    if type(text) ~= "string" then text = check_string(text, 1) end
    local parsed = formats[text]
    if not parsed then
        local message
        parsed, message = parse_format(text)
        if not parsed then error(message, 2) end
        if #text <= 100 then
            if format_count == 500 then formats, format_count = {}, 0 end
            formats[text] = parsed
            format_count = format_count + 1
        end
    end
    local count = parsed.count
    if count == 0 then return format5_4(parsed.text) end
    local values = { ... }
    local given = select("#", ...)
    for i = 1, count do
        local v = values[i]
        local conversion = parsed.conversions[i]
        if i > given then
            local expected = (conversion == "s" or conversion == "q") and "string" or "number"
            argument_error(i + 1, expected .. " expected, got no value")
        end
        if conversion == "s" then
            if type(v) ~= "string" then
                if not numberType(v) then
                    argument_error(i + 1, "string expected, got " .. type(v))
                end
                values[i] = print_number(v)
            end
        elseif conversion == "q" then
            if not numberType(v) and type(v) ~= "string" then
                argument_error(i + 1, "string expected, got " .. type(v))
            end
            values[i] = "\"" .. gsub5_4(operand(v), "[\"\\\n\r%z]", quoted) .. "\""
        else
            local n = numberType(v) and v or type(v) == "string" and tonumber(v)
            if not n then argument_error(i + 1, "number expected, got " .. type(v)) end
            if conversion == "u" and not (n >= 0 and n < 9223372036854775808.0) then return format_unsigned(text, i, n, ...)
            elseif find5_4("oxXu", conversion, 1, true) then n = cast_unsigned(n)
            elseif conversion == "c" then
                n = n > -2147483649 and n < 2147483648 and cast(n) & 255 or 0
                n = n == 0 and "" or string5_4.char(n)
            elseif not find5_4("eEfgG", conversion, 1, true) then n = cast(n) end
            values[i] = n
        end
    end
    return format5_4(parsed.text, unpack5_4(values, 1, count))
end

-- %u of what is no positive integer of 5.4's, which has no conversion for it: its digits take the conversion's place in
-- the format.
function format_unsigned(text, position, n, ...)
    n = cast_unsigned(n)
    local tens = (n >> 1) // 5
    local digits = n < 0 and format5_4("%d%d", tens, n - tens * 10) or format5_4("%d", n)
    local at, count = 1, 0
    while true do
        local start, stop, flags, conversion = find5_4(text, "%%([-+ #0]*%d*%.?%d*)(.)", at)
        if conversion ~= "%" then count = count + 1 end
        if count == position then
            text = sub5_4(text, 1, start - 1) .. "%" .. gsub5_4(without_sign(flags), "%..*", "") .. "s" .. sub5_4(text, stop + 1)
            local values = { ... }
            values[position] = digits
            return string5_1.format(text, unpack5_4(values, 1, select("#", ...)))
        end
        at = stop + 1
    end
end

-- math

local math5_1 = { pi = math5_4.pi, huge = math5_4.huge }

for _, name in ipairs { "cos", "deg", "exp", "rad", "sin", "asin", "acos", "sqrt", "tan" } do
    local f = math5_4[name]
    math5_1[name] = function(x)
        if numberType(x) ~= "float" then x = check_number(x, 1) end
        return f(x)
    end
end

function math5_1.abs(x)
    return math5_4.abs(check_number(x, 1))
end

function math5_1.floor(x)
    if numberType(x) ~= "float" then x = check_number(x, 1) end
    local result = floor5_4(x) + 0.0
    if result == 0 and x == 0 then return x end -- which may be -0
    return result
end

function math5_1.ceil(x)
    x = check_number(x, 1)
    local result = math5_4.ceil(x) + 0.0
    if result == 0 then return x > 0 and 0.0 or x == 0 and x or -0.0 end
    return result
end

function math5_1.atan(x)
    return math5_4.atan(check_number(x, 1))
end

function math5_1.atan2(y, x)
    return math5_4.atan(check_number(y, 1), check_number(x, 2))
end

function math5_1.fmod(x, y)
    return math5_4.fmod(check_number(x, 1), check_number(y, 2))
end

math5_1.mod = math5_1.fmod

function math5_1.modf(x)
    x = check_number(x, 1)
    local whole, part = math5_4.modf(x)
    if part == 0 and (x < 0 or 1 / x < 0) then part = -0.0 end
    return whole, part
end

local invalid = infinity - infinity -- "-nan"; the sign is the one that Redis prints

function math5_1.log(x)
    x = check_number(x, 1)
    if x < 0 then return invalid end
    return math5_4.log(x)
end

function math5_1.log10(x)
    x = check_number(x, 1)
    if x < 0 then return -invalid end
    return math5_4.log(x, 10.0)
end

function math5_1.pow(x, y)
    return check_number(x, 1) ^ check_number(y, 2)
end

function math5_1.max(first, ...)
    local most = check_number(first, 1)
    for i = 1, select("#", ...) do
        local x = check_number((select(i, ...)), i + 1, "max")
        if x > most then most = x end
    end
    return most
end

function math5_1.min(first, ...)
    local least = check_number(first, 1)
    for i = 1, select("#", ...) do
        local x = check_number((select(i, ...)), i + 1, "min")
        if x < least then least = x end
    end
    return least
end

for _, name in ipairs { "sinh", "cosh", "tanh" } do
    math5_1[name] = function(x) return native.math(name, check_number(x, 1)) end
end

function math5_1.frexp(x)
    return native.math("frexp", check_number(x, 1))
end

function math5_1.ldexp(x, exponent)
    x, exponent = check_number(x, 1), cast(check_number(exponent, 2)) & 0xffffffff
    if exponent >= 0x80000000 then exponent = exponent - 0x100000000 end
    return native.math("ldexp", x, exponent + 0.0)
end

function math5_1.random(...)
    local r = native.random()
    local count = select("#", ...)
    if count == 0 then return r end
    local low, high = ...
    if count == 1 then
        low, high = 1, integer(check_number(low, 1))
        if high < 1 then argument_error(1, "interval is empty") end
        return floor5_4(r * high) + 1.0
    elseif count == 2 then
        low, high = integer(check_number(low, 1)), integer(check_number(high, 2))
        if low > high then argument_error(2, "interval is empty") end
        return floor5_4(r * (high - low + 1.0)) + low + 0.0
    end
    error("wrong number of arguments", 2)
end

function math5_1.randomseed(x)
    native.randomseed(check_number(x, 1))
end

-- coroutine

local coroutine5_1 = {
    create = coroutine5_4.create,
    status = coroutine5_4.status,
    wrap = coroutine5_4.wrap,
    yield = coroutine5_4.yield,
}

function coroutine5_1.resume(co, ...)
    return finish_pcall(coroutine5_4.resume(co, ...))
end

function coroutine5_1.running()
    local co, is_main = coroutine5_4.running()
    if is_main then return nil end
    return co
end

-- bit: http://bitop.luajit.org/api.html

local bit = {}

local function bits(x, position)
    local n = check_number(x, position, 3)
    local i = toInteger(n)
    if i and i >= -0x7ffffffffffff and i <= 0x7ffffffffffff then return i & 0xffffffff end
    -- As the library does it: adds 2^52 + 2^51, and takes the low bits of what that is in memory.
    return string5_4.unpack("<i8", string5_4.pack("<d", n + 6755399441055744.0)) & 0xffffffff
end

local function signed(i)
    i = i & 0xffffffff
    if i >= 0x80000000 then i = i - 0x100000000 end
    return i + 0.0
end

function bit.tobit(x) return signed(bits(x, 1)) end

function bit.bnot(x) return signed(~bits(x, 1)) end

function bit.band(x, ...)
    local result = bits(x, 1)
    for i = 1, select("#", ...) do result = result & bits((select(i, ...)), i + 1) end
    return signed(result)
end

function bit.bor(x, ...)
    local result = bits(x, 1)
    for i = 1, select("#", ...) do result = result | bits((select(i, ...)), i + 1) end
    return signed(result)
end

function bit.bxor(x, ...)
    local result = bits(x, 1)
    for i = 1, select("#", ...) do result = result ~ bits((select(i, ...)), i + 1) end
    return signed(result)
end

function bit.lshift(x, n) return signed(bits(x, 1) << (bits(n, 2) & 31)) end

function bit.rshift(x, n) return signed(bits(x, 1) >> (bits(n, 2) & 31)) end

function bit.arshift(x, n)
    local i = bits(x, 1)
    if i >= 0x80000000 then i = i | 0xffffffff00000000 end
    return signed(i >> (bits(n, 2) & 31))
end

function bit.rol(x, n)
    local i, by = bits(x, 1), bits(n, 2) & 31
    return signed(i << by | i >> (32 - by))
end

function bit.ror(x, n)
    local i, by = bits(x, 1), bits(n, 2) & 31
    return signed(i >> by | i << (32 - by))
end

function bit.bswap(x)
    local i = bits(x, 1)
    return signed(i >> 24 | i >> 8 & 0xff00 | i << 8 & 0xff0000 | i << 24)
end

function bit.tohex(x, n)
    local i = bits(x, 1)
    n = n == nil and 8 or integer(check_number(n, 2))
    local digits = "%08x"
    if n < 0 then n, digits = -n, "%08X" end
    if n > 8 or n < 0 then n = 8 end
    return sub5_4(format5_4(digits, i), 9 - n)
end

-- cjson, cmsgpack, struct: in C#

local function functions_of(module, names)
    local t = {}
    for _, name in ipairs(names) do
        local f = native[module .. "_" .. name]
        t[name] = function(...) return checked(f(...)) end
    end
    return t
end

local cjson_names = {
    "encode", "decode", "encode_sparse_array", "encode_max_depth", "decode_max_depth", "encode_number_precision",
    "encode_keep_buffer", "encode_invalid_numbers", "decode_invalid_numbers",
}

local cjson = functions_of("cjson", cjson_names)
cjson.null = native.null
cjson._NAME = "cjson"
cjson._VERSION = "2.1.0"

local cmsgpack = functions_of("cmsgpack", { "pack", "unpack", "unpack_one", "unpack_limit" })
cmsgpack._NAME = "cmsgpack"
cmsgpack._VERSION = "lua-cmsgpack 0.4.0"
cmsgpack._COPYRIGHT = "Copyright (C) 2012, Salvatore Sanfilippo"
cmsgpack._DESCRIPTION = "MessagePack C implementation for Lua"

local struct = functions_of("struct", { "pack", "unpack", "size" })

-- redis

local debugger              -- of the session in which the script runs, if it is being debugged (debugger.lua)

local redis = {
    REPL_NONE = 0.0, REPL_AOF = 1.0, REPL_SLAVE = 2.0, REPL_REPLICA = 2.0, REPL_ALL = 3.0,
    LOG_DEBUG = 0.0, LOG_VERBOSE = 1.0, LOG_NOTICE = 2.0, LOG_WARNING = 3.0,
    REDIS_VERSION = native.version, REDIS_VERSION_NUM = native.version_number,
}

do
    local call = native.call

    -- An error comes with "true" after it.
    local function finish(result, failed)
        if failed then error(result, 0) end
        return result
    end

    function redis.call(...)
        local result, failed = call(...)
        if failed then error(result, 0) end
        return result
    end

    function redis.pcall(...)
        return (call(...))
    end

    for _, name in ipairs { "log", "sha1hex", "setresp", "set_repl", "acl_check_cmd" } do
        local f = native[name]
        redis[name] = function(...) return finish(f(...)) end
    end

    for _, name in ipairs { "error_reply", "status_reply", "replicate_commands" } do
        local f = native[name]
        redis[name] = function(...) return (f(...)) end
    end

    function redis.breakpoint()
        return debugger ~= nil and debugger.breakpoint()
    end

    function redis.debug(...)
        if debugger then debugger.show(...) end
    end
end

-- Functions: what a library sees of "redis" while it is loaded.

local library_redis = {
    LOG_DEBUG = 0.0, LOG_VERBOSE = 1.0, LOG_NOTICE = 2.0, LOG_WARNING = 3.0,
    REDIS_VERSION = redis.REDIS_VERSION, REDIS_VERSION_NUM = redis.REDIS_VERSION_NUM,
    log = redis.log,
}

-- The functions that the library being loaded has registered; nil while none is loaded.
local registered

function library_redis.register_function(...)
    if not registered then
        error({ err = "ERR redis.register_function can only be called on FUNCTION LOAD command" }, 0)
    end
    local count = select("#", ...)
    local function refuse(message)
        error({ err = "ERR " .. message }, 0)
    end
    local name, callback, description, flags
    if count == 1 then
        local arguments = ...
        if type(arguments) ~= "table" then
            refuse("calling redis.register_function with a single argument is only applicable to Lua table (representing named arguments).")
        end
        for k, v in next, real[arguments] or arguments do
            if type(k) ~= "string" then
                refuse("named argument key given to redis.register_function is not a string")
            end
            k = string5_4.lower(k)
            if k == "function_name" then
                if type(v) ~= "string" then refuse("function_name argument given to redis.register_function must be a string") end
                name = v
            elseif k == "description" then
                if type(v) ~= "string" then refuse("description argument given to redis.register_function must be a string") end
                description = v
            elseif k == "callback" then
                if type(v) ~= "function" then refuse("callback argument given to redis.register_function must be a function") end
                callback = v
            elseif k == "flags" then
                if type(v) ~= "table" then
                    refuse("flags argument to redis.register_function must be a table representing function flags")
                end
                flags = v
            else
                refuse("unknown argument given to redis.register_function")
            end
        end
        if not name then refuse("redis.register_function must get a function name argument") end
        if not callback then refuse("redis.register_function must get a callback argument") end
    elseif count == 2 then
        name, callback = ...
        if type(name) ~= "string" then refuse("first argument to redis.register_function must be a string") end
        if type(callback) ~= "function" then refuse("second argument to redis.register_function must be a function") end
    else
        refuse("wrong number of arguments to redis.register_function")
    end
    local known = {}
    if flags then
        local i = 1
        while true do
            local flag = rawget(flags, i)
            if flag == nil then break end
            if type(flag) ~= "string" or not native.is_flag(flag) then refuse("unknown flag given") end
            known[i] = flag
            i = i + 1
        end
    end
    if #name == 0 or find5_4(name, "[^%w_]") then
        refuse("Library names can only contain letters, numbers, or underscores(_) and must be at least one character long")
    end
    if registered[name] then refuse("Function already exists in the library") end
    registered[name] = callback
    native.register(name, description or false, concat5_4(known, ","))
end

-- Globals

G.xpcall = xpcall5_1
G.tostring = tostring5_1
G.getfenv = getfenv
G.setmetatable = setmetatable5_1
G.next = next5_1
G.assert = assert
G.tonumber = function(v, base)
    if base ~= nil then
        base = check_number(base, 2)
        if base < 2 or base >= 37 then argument_error(2, "base out of range") end
    end
    return tonumber(v, base)
end
G.rawequal = rawequal
G.collectgarbage = collectgarbage5_1
G.getmetatable = getmetatable5_1
G.rawset = rawset5_1
G.pcall = pcall5_1
G.type = type
G.select = select5_1
G.unpack = unpack
G.gcinfo = gcinfo
G.pairs = pairs
G.rawget = rawget5_1
G.loadstring = loadstring
G.ipairs = ipairs
G._VERSION = "Lua 5.1"
G.setfenv = setfenv
G.load = load5_1
G.error = error
G.newproxy = newproxy
G.__redis__err__handler = on_error
G.coroutine = readonly(coroutine5_1)
G.string = readonly(string5_1)
G.table = readonly(table5_1)
G.math = readonly(math5_1)
G.bit = readonly(bit)
G.cjson = readonly(cjson)
G.cmsgpack = readonly(cmsgpack)
G.struct = readonly(struct)
G.redis = readonly(redis)
G.os = readonly { clock = os.clock }

local function nonexistent(_, name)
    error("Script attempted to access nonexistent global variable '" .. tostring5_1(name) .. "'", 2)
end

setmetatable(G, { __index = nonexistent, __newindex = denied })
shown_globals = readonly(G)
shown_metatable[shown_globals] = readonly { __index = nonexistent }
rawset(G, "_G", shown_globals)
setmetatable(library_redis, { __index = nonexistent })
library_redis = readonly(library_redis)

-- Strings: methods, and arithmetic, which 5.1 does with the numbers that they spell.

local function arithmetic(f)
    return function(a, b)
        local x = numberType(a) and a or type(a) == "string" and tonumber(a)
        local y = numberType(b) and b or type(b) == "string" and tonumber(b)
        if x and y then return f(x, y) end
        -- The metamethod of the other operand comes second.
        local culprit = x and b or a
        error("attempt to perform arithmetic on a " .. type(culprit) .. " value", 2)
    end
end

local function other(event, f)
    local own = arithmetic(f)
    return function(a, b)
        if type(a) == "string" and type(b) ~= "string" and not numberType(b) then
            local m = getmetatable(b)
            local theirs = type(m) == "table" and rawget(m, event)
            if theirs then return theirs(a, b) end
        end
        return own(a, b)
    end
end

local m = getmetatable("")
for k in next, m do m[k] = nil end
m.__index = string5_1
m.__add = other("__add", function(a, b) return a + b end)
m.__sub = other("__sub", function(a, b) return a - b end)
m.__mul = other("__mul", function(a, b) return a * b end)
m.__div = other("__div", function(a, b) return a / b end)
m.__mod = other("__mod", remainder)
m.__pow = other("__pow", function(a, b) return a ^ b end)
m.__unm = arithmetic(function(a) return -a end)
string_metatable = readonly { __index = G.string }

-- What C# calls

local exports = { globals = G, on_error = on_error }

-- Compiles a script; nil and a message if it is not correct.
function exports.compile(text, name)
    return compile(text, name, G, shown_globals)
end

-- Loads a library; returns its functions by name. While it is loaded there is only "redis", as it is for loading; from
-- then on it has the globals of scripts.
function exports.load_library(text, name)
    local m = { __index = nonexistent, __newindex = denied }
    local environment = setmetatable({ redis = library_redis }, m)
    local shown = readonly(environment)
    local f, message = compile(text, name, environment, shown)
    if not f then error({ err = "ERR Error compiling function: " .. message, compiles = false }, 0) end
    registered = {}
    local ok, e = xpcall(f, on_error)
    local functions = registered
    registered = nil
    rawset(environment, "redis", nil)
    m.__index = G
    if not ok then error(e, 0) end
    return functions
end

function exports.abandon_library()
    registered = nil
end

-- What debugger.lua needs, and its end of it.
exports.debugger_parts = {
    native = native,
    real = real,
    globals = G,
    call = redis.call,
    compile = function(text, name) return compile(text, name, G, shown_globals, true) end,
}

function exports.set_debugger(value)
    debugger = value
end

return exports
