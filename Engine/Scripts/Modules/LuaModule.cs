using System.Buffers;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>What the modules for scripts share: reading arguments, and a buffer for what they write.</summary>
internal abstract class LuaModule(LuaState state)
{
    /// <summary>A larger buffer is not kept.</summary>
    private const int LargestKept = 1 << 20;

    /// <summary>So many elements are written or read between two looks at whether to go on; text counts by its length.</summary>
    private const int ElementsBetweenChecks = 1 << 12, BytesPerElement = 16;

    private ArrayBufferWriter<byte> _output = new();
    private int _elements;

    /// <summary>The bytes to be written to.</summary>
    protected IBufferWriter<byte> Output => _output;

    /// <summary>The keys of the tables that are being written.</summary>
    protected LuaKeyOrder TableKeys { get; } = new();

    protected int OutputLength => _output.WrittenCount;

    /// <summary>An empty buffer.</summary>
    protected void BeginOutput()
    {
        if (_output.Capacity > LargestKept) _output = new(); // of a call that failed
        _output.ResetWrittenCount();
        TableKeys.Clear();
    }

    /// <summary>Pushes what has been written.</summary>
    protected int PushOutput(nint lua)
    {
        LuaApi.Push(lua, _output.WrittenSpan);
        if (_output.Capacity > LargestKept) _output = new();
        return 1;
    }

    protected void Write(byte value)
    {
        _output.GetSpan(1)[0] = value;
        _output.Advance(1);
    }

    protected void Write(ReadOnlySpan<byte> bytes) => _output.Write(bytes);

    protected void Write(string text)
    {
        int length = Encoding.Latin1.GetBytes(text, _output.GetSpan(text.Length));
        _output.Advance(length);
    }

    /// <summary>An element is written or read.</summary>
    protected void CountElement(nint lua) => CountWork(lua, 1);

    /// <summary>So many bytes of text are written: a few elements may be gigabytes.</summary>
    protected void CountText(nint lua, int bytes) => CountWork(lua, bytes / BytesPerElement);

    private void CountWork(nint lua, int elements)
    {
        _elements += elements;
        if (_elements < ElementsBetweenChecks) return;
        _elements = 0;
        Check(lua);
    }

    /// <summary>To be called now and then while something is written or read that may be large.</summary>
    protected void Check(nint lua)
    {
        if (_output.WrittenCount > state.MostStringBytes || state.HasTooMuch(lua)) throw new LuaArgumentException("not enough memory");
        state.WatchWithin(lua);
    }

    protected static LuaArgumentException BadArgument(int position, string function, string message) =>
        new($"bad argument #{position} to '{function}' ({message})");

    protected static unsafe double Number(nint lua, int index, string function)
    {
        if (LuaApi.Type(lua, index) == LuaType.Number) return LuaApi.ToNumber(lua, index, null);
        int isNumber;
        double number = LuaApi.ToNumber(lua, index, &isNumber);
        if (isNumber != 0 || (LuaApi.Type(lua, index) == LuaType.String && LuaStrings.TryParse(LuaApi.StringAt(lua, index), out number))) return number;
        throw Expected(lua, index, function, "number");
    }

    protected static int Integer(nint lua, int index, string function, int otherwise)
    {
        if (LuaApi.Type(lua, index) is LuaType.None or LuaType.Nil) return otherwise;
        double number = Number(lua, index, function);
        return number is > int.MinValue and < int.MaxValue ? (int)number : number > 0 ? int.MaxValue : int.MinValue;
    }

    /// <summary>A string, or a number as a string.</summary>
    protected static unsafe ReadOnlySpan<byte> Text(nint lua, int index, string function) => LuaApi.Type(lua, index) switch
    {
        LuaType.String => LuaApi.StringAt(lua, index),
        LuaType.Number => Encoding.ASCII.GetBytes(LuaNumbers.Format(LuaApi.ToNumber(lua, index, null))),
        _ => throw Expected(lua, index, function, "string"),
    };

    private static LuaArgumentException Expected(nint lua, int index, string function, string expected) =>
        BadArgument(index, function, $"{expected} expected, got {TypeName(LuaApi.Type(lua, index))}");

    protected static string TypeName(LuaType type) => type switch
    {
        LuaType.None => "no value",
        LuaType.LightUserData => "userdata",
        _ => type.ToString().ToLowerInvariant(),
    };
}
