using System.Runtime.InteropServices;

namespace OrleansRedis.Engine;

/// <summary>
/// The C functions of Lua 5.4 that are used here (https://www.lua.org/manual/5.4/manual.html#4.6), from KeraLua's native
/// library.
/// <para>
/// A Lua error is a longjmp, and must never cross a managed frame. So nothing here may raise one: the functions called
/// do not by their contract, except for lack of memory, which <see cref="LuaMemory"/> rules out while managed code runs.
/// What may raise an error (calls, comparisons, metamethods) is done by Lua code of ours instead.
/// </para>
/// </summary>
internal static unsafe partial class LuaApi
{
    internal const int RegistryIndex = -1_000_000 - 1000;
    internal const int GlobalsIndex = 2;    // in the registry
    internal const int MultipleResults = -1;
    internal const int Ok = 0, Yielded = 1, RuntimeError = 2, SyntaxError = 3, MemoryError = 4;
    internal const int MaskCall = 1, MaskLine = 4, MaskCount = 8;
    internal const int EventCount = 3;
    internal const int GcStop = 0, GcRestart = 1, GcCollect = 2, GcCount = 3, GcStep = 5;

    private const string Library = "lua54";

    /// <summary>The address of lua_error, for <see cref="LuaState.Interrupt"/>.</summary>
    internal static nint ErrorFunction { get; } = NativeLibrary.GetExport(
        NativeLibrary.Load(Library, typeof(LuaApi).Assembly, null), "lua_error");

    [LibraryImport(Library, EntryPoint = "lua_newstate")]
    internal static partial nint NewState(nint allocator, void* data);

    [LibraryImport(Library, EntryPoint = "lua_close")]
    internal static partial void Close(nint lua);

    [LibraryImport(Library, EntryPoint = "lua_atpanic")]
    internal static partial nint AtPanic(nint lua, nint function);

    [LibraryImport(Library, EntryPoint = "luaL_openlibs")]
    internal static partial void OpenLibraries(nint lua);

    [LibraryImport(Library, EntryPoint = "luaL_loadbufferx")]
    internal static partial int Load(nint lua, byte* text, nuint length, byte* name, byte* mode);

    [LibraryImport(Library, EntryPoint = "lua_pcallk")]
    internal static partial int ProtectedCall(nint lua, int arguments, int results, int handler, nint context = 0, nint continuation = 0);

    [LibraryImport(Library, EntryPoint = "lua_checkstack")]
    internal static partial int CheckStack(nint lua, int count);

    [LibraryImport(Library, EntryPoint = "lua_gettop"), SuppressGCTransition]
    internal static partial int Top(nint lua);

    [LibraryImport(Library, EntryPoint = "lua_settop"), SuppressGCTransition]
    internal static partial void SetTop(nint lua, int index);

    [LibraryImport(Library, EntryPoint = "lua_rotate"), SuppressGCTransition]
    internal static partial void Rotate(nint lua, int index, int count);

    [LibraryImport(Library, EntryPoint = "lua_type"), SuppressGCTransition]
    internal static partial LuaType Type(nint lua, int index);

    [LibraryImport(Library, EntryPoint = "lua_isinteger"), SuppressGCTransition]
    internal static partial int IsInteger(nint lua, int index);

    [LibraryImport(Library, EntryPoint = "lua_toboolean"), SuppressGCTransition]
    internal static partial int ToBoolean(nint lua, int index);

    [LibraryImport(Library, EntryPoint = "lua_tonumberx"), SuppressGCTransition]
    internal static partial double ToNumber(nint lua, int index, int* isNumber);

    /// <summary>Only for a value that is a string: a number would be converted in place.</summary>
    [LibraryImport(Library, EntryPoint = "lua_tolstring"), SuppressGCTransition]
    internal static partial byte* ToString(nint lua, int index, nuint* length);

    [LibraryImport(Library, EntryPoint = "lua_topointer"), SuppressGCTransition]
    internal static partial nint ToPointer(nint lua, int index);

    [LibraryImport(Library, EntryPoint = "lua_pushnil"), SuppressGCTransition]
    internal static partial void PushNil(nint lua);

    [LibraryImport(Library, EntryPoint = "lua_pushboolean"), SuppressGCTransition]
    internal static partial void PushBoolean(nint lua, int value);

    [LibraryImport(Library, EntryPoint = "lua_pushnumber"), SuppressGCTransition]
    internal static partial void PushNumber(nint lua, double value);

    [LibraryImport(Library, EntryPoint = "lua_pushvalue"), SuppressGCTransition]
    internal static partial void PushValue(nint lua, int index);

    [LibraryImport(Library, EntryPoint = "lua_pushlightuserdata"), SuppressGCTransition]
    internal static partial void PushLightUserData(nint lua, nint value);

    // What follows may allocate, and hence call back into the managed allocator.
    [LibraryImport(Library, EntryPoint = "lua_pushlstring")]
    internal static partial byte* PushString(nint lua, byte* text, nuint length);

    [LibraryImport(Library, EntryPoint = "lua_pushcclosure")]
    internal static partial void PushFunction(nint lua, nint function, int upvalues);

    [LibraryImport(Library, EntryPoint = "lua_createtable")]
    internal static partial void CreateTable(nint lua, int elements, int fields);

    [LibraryImport(Library, EntryPoint = "lua_newuserdatauv")]
    internal static partial void* NewUserData(nint lua, nuint length, int values);

    [LibraryImport(Library, EntryPoint = "lua_rawget"), SuppressGCTransition]
    internal static partial LuaType RawGet(nint lua, int index);

    [LibraryImport(Library, EntryPoint = "lua_rawgeti"), SuppressGCTransition]
    internal static partial LuaType RawGetAt(nint lua, int index, long at);

    [LibraryImport(Library, EntryPoint = "lua_rawset")]
    internal static partial void RawSet(nint lua, int index);

    [LibraryImport(Library, EntryPoint = "lua_rawseti")]
    internal static partial void RawSetAt(nint lua, int index, long at);

    [LibraryImport(Library, EntryPoint = "lua_rawlen"), SuppressGCTransition]
    internal static partial ulong RawLength(nint lua, int index);

    /// <summary>
    /// The next pair of a table. It fails for a key that is not in the table, so only keys that it returned itself may
    /// be passed, and the table must not have changed.
    /// </summary>
    [LibraryImport(Library, EntryPoint = "lua_next"), SuppressGCTransition]
    internal static partial int Next(nint lua, int index);

    [LibraryImport(Library, EntryPoint = "lua_getmetatable"), SuppressGCTransition]
    internal static partial int GetMetatable(nint lua, int index);

    [LibraryImport(Library, EntryPoint = "lua_setmetatable")]
    internal static partial int SetMetatable(nint lua, int index);

    [LibraryImport(Library, EntryPoint = "luaL_ref")]
    internal static partial int Reference(nint lua, int table);

    [LibraryImport(Library, EntryPoint = "luaL_unref")]
    internal static partial void Release(nint lua, int table, int reference);

    [LibraryImport(Library, EntryPoint = "lua_sethook"), SuppressGCTransition]
    internal static partial void SetHook(nint lua, nint hook, int mask, int count);

    [LibraryImport(Library, EntryPoint = "lua_gc")]
    internal static partial int Collect(nint lua, int what, int argument);

    internal static void Pop(nint lua, int count) => SetTop(lua, -count - 1);

    /// <summary>The bytes of a string on the stack; valid while the string is reachable.</summary>
    internal static ReadOnlySpan<byte> StringAt(nint lua, int index)
    {
        nuint length;
        byte* text = ToString(lua, index, &length);
        return new(text, (int)length);
    }

    internal static void Push(nint lua, ReadOnlySpan<byte> text)
    {
        fixed (byte* at = text) PushString(lua, at, (nuint)text.Length);
    }
}

/// <summary>The types of Lua's values.</summary>
internal enum LuaType
{
    None = -1,
    Nil = 0,
    Boolean = 1,
    LightUserData = 2,
    Number = 3,
    String = 4,
    Table = 5,
    Function = 6,
    UserData = 7,
    Thread = 8,
}
