using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>Where an argument lies in its request's buffer.</summary>
public readonly record struct ArgumentRange(int Start, int Length);

/// <summary>
/// One command as it arrived: its arguments, the name first, as ranges of one buffer. It owns nothing and is valid only
/// while the command runs; <see cref="ToOwned"/> makes a copy that lasts.
/// </summary>
public readonly ref struct Request(ReadOnlySpan<byte> buffer, ReadOnlySpan<ArgumentRange> arguments, ReadOnlySpan<byte> frame)
{
    private readonly ReadOnlySpan<byte> _buffer = buffer;
    private readonly ReadOnlySpan<ArgumentRange> _arguments = arguments;

    /// <summary>The RESP frame that the request was read from; empty if there is none (an inline command).</summary>
    public ReadOnlySpan<byte> Frame { get; } = frame;

    /// <summary>The number of arguments, the command's name included.</summary>
    public int Count => _arguments.Length;

    /// <summary>An argument; 0 is the command's name.</summary>
    public ReadOnlySpan<byte> this[int index]
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get
        {
            ArgumentRange range = _arguments[index];
            return _buffer.Slice(range.Start, range.Length);
        }
    }

    /// <summary>
    /// Whether <see cref="Frame"/> is exactly what this server would write, so that it may be passed on as it is.
    /// Readers of requests do not check the bytes where line ends belong, but readers of logs do.
    /// </summary>
    internal bool IsCanonical
    {
        get
        {
            if (Frame.IsEmpty) return false;
            int header = HeaderLength(_arguments.Length), length = header;
            if (!IsLineEnd(header - 2)) return false;
            foreach (ArgumentRange range in _arguments)
            {
                length += HeaderLength(range.Length) + range.Length + 2;
                if (!IsLineEnd(range.Start - 2) || !IsLineEnd(range.Start + range.Length)) return false;
            }
            return length == Frame.Length; // the lengths add up, so no number has more digits than it needs
        }
    }

    private bool IsLineEnd(int at) => _buffer[at] == '\r' && _buffer[at + 1] == '\n';

    /// <summary>The length of "$number" or "*number" with its line end.</summary>
    private static int HeaderLength(int number)
    {
        int digits = 1;
        while (number >= 10)
        {
            number /= 10;
            digits++;
        }
        return digits + 3;
    }

    /// <summary>A copy that outlives the input buffer.</summary>
    public OwnedRequest ToOwned()
    {
        int length = 0;
        foreach (ArgumentRange range in _arguments) length += range.Length;
        var bytes = new byte[length];
        var ranges = new ArgumentRange[_arguments.Length];
        int at = 0;
        for (int i = 0; i < ranges.Length; i++)
        {
            this[i].CopyTo(bytes.AsSpan(at));
            ranges[i] = new(at, _arguments[i].Length);
            at += _arguments[i].Length;
        }
        return new(bytes, ranges);
    }
}

/// <summary>
/// A request with a buffer of its own: queued by MULTI, waiting while blocked, or made by a grain call.
/// </summary>
public sealed class OwnedRequest(byte[] bytes, ArgumentRange[] arguments)
{
    /// <summary>The number of arguments, the command's name included.</summary>
    public int Count => arguments.Length;

    /// <summary>The request to run, valid as long as this object.</summary>
    public Request Request => new(bytes, arguments, []);

    /// <summary>Makes a request from separate arguments.</summary>
    public static OwnedRequest Of(params ReadOnlySpan<ReadOnlyMemory<byte>> arguments)
    {
        int length = 0;
        foreach (ReadOnlyMemory<byte> argument in arguments) length += argument.Length;
        var bytes = new byte[length];
        var ranges = new ArgumentRange[arguments.Length];
        int at = 0;
        for (int i = 0; i < ranges.Length; i++)
        {
            arguments[i].Span.CopyTo(bytes.AsSpan(at));
            ranges[i] = new(at, arguments[i].Length);
            at += arguments[i].Length;
        }
        return new(bytes, ranges);
    }
}
