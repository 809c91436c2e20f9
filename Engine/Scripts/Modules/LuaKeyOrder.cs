using System.Numerics;

namespace OrleansRedis.Engine;

/// <summary>
/// The keys of tables in the order in which modules write them: numbers from the least on; then strings as Lua 5.1 finds
/// them in a table of its own, if none of them collide there, which is how Redis writes most small ones. Lua 5.4's own order
/// is another one in each state, and whoever compares what has been written, or makes a key of it, must always get the same.
/// <para>Tables nest: the keys of one follow those of the table that it is in.</para>
/// </summary>
internal sealed unsafe class LuaKeyOrder
{
    /// <summary>Room for more keys is not kept.</summary>
    private const int LargestKept = 16 * 1024;

    private Key[] _keys = new Key[16];
    private int _count;

    /// <summary>The type of the key that was neither a number nor a string.</summary>
    public LuaType Refused { get; private set; }

    /// <summary>Forgets what a call that failed has left.</summary>
    public void Clear()
    {
        _count = 0;
        if (_keys.Length > LargestKept) _keys = new Key[16];
    }

    /// <summary>
    /// Adds the keys of the table on the top of the stack, which must not change until <see cref="RemoveFrom"/>. False if
    /// there is one that is neither a number nor a string: then none is added.
    /// </summary>
    /// <param name="lua">The stack.</param>
    /// <param name="start">The number of its first key.</param>
    /// <param name="end">The number after its last one.</param>
    public bool TryAdd(nint lua, out int start, out int end)
    {
        start = end = _count;
        int strings = 0;
        LuaApi.PushNil(lua);
        while (LuaApi.Next(lua, -2) != 0)
        {
            LuaApi.Pop(lua, 1);
            if (_count == _keys.Length) Array.Resize(ref _keys, _count * 2);
            ref Key key = ref _keys[_count++];
            switch (LuaApi.Type(lua, -1))
            {
                case LuaType.Number:
                    key = new() { Number = LuaApi.ToNumber(lua, -1, null) };
                    break;
                case LuaType.String:
                    nuint length;
                    byte* text = LuaApi.ToString(lua, -1, &length);
                    key = new() { Text = text, Length = (int)length, Place = Hash(new(text, (int)length)) };
                    strings++;
                    break;
                default:
                    Refused = LuaApi.Type(lua, -1);
                    LuaApi.Pop(lua, 1);
                    _count = start;
                    return false;
            }
        }
        uint mask = BitOperations.RoundUpToPowerOf2((uint)strings) - 1; // so many nodes the table would have
        Span<Key> keys = _keys.AsSpan(start.._count);
        foreach (ref Key key in keys) key.Place &= mask;
        keys.Sort();
        end = _count;
        return true;
    }

    /// <summary>Whether a key is a string.</summary>
    public bool IsString(int key) => _keys[key].Text is not null;

    /// <summary>A key that is a number.</summary>
    public double NumberAt(int key) => _keys[key].Number;

    /// <summary>A key that is a string.</summary>
    public ReadOnlySpan<byte> TextAt(int key) => new(_keys[key].Text, _keys[key].Length);

    /// <summary>Pushes a key.</summary>
    public void Push(nint lua, int key)
    {
        if (IsString(key)) LuaApi.Push(lua, TextAt(key));
        else LuaApi.PushNumber(lua, NumberAt(key));
    }

    /// <summary>Pushes the value of a key of the table on the top.</summary>
    public void PushValue(nint lua, int key)
    {
        Push(lua, key);
        LuaApi.RawGet(lua, -2);
    }

    /// <summary>Forgets a table's keys.</summary>
    public void RemoveFrom(int start) => _count = start;

    /// <summary>The hash of 5.1 (luaS_newlstr).</summary>
    private static uint Hash(ReadOnlySpan<byte> text)
    {
        uint hash = (uint)text.Length;
        int step = (text.Length >> 5) + 1;
        for (int i = text.Length; i >= step; i -= step) hash ^= (hash << 5) + (hash >> 2) + text[i - 1];
        return hash;
    }

    private struct Key : IComparable<Key>
    {
        public double Number;
        public byte* Text;
        public int Length;
        public uint Place;

        public readonly int CompareTo(Key other)
        {
            if (Text is null || other.Text is null) return Text is null ? other.Text is null ? Number.CompareTo(other.Number) : -1 : 1;
            int order = Place.CompareTo(other.Place);
            return order != 0 ? order : new ReadOnlySpan<byte>(Text, Length).SequenceCompareTo(new(other.Text, other.Length));
        }
    }
}
