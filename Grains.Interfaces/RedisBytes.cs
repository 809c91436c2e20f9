using System.Globalization;
using System.Text;

namespace OrleansRedis.Grains;

/// <summary>
/// A key, value or other argument of a command: bytes, converted implicitly from text, numbers and byte arrays.
/// </summary>
public readonly struct RedisBytes(ReadOnlyMemory<byte> bytes)
{
    /// <summary>The bytes themselves.</summary>
    public ReadOnlyMemory<byte> Memory { get; } = bytes;

    /// <summary>Text, as UTF-8.</summary>
    public static implicit operator RedisBytes(string text) => new(Encoding.UTF8.GetBytes(text));

    /// <summary>The bytes as they are.</summary>
    public static implicit operator RedisBytes(byte[] bytes) => new(bytes);

    /// <summary>The bytes as they are.</summary>
    public static implicit operator RedisBytes(ReadOnlyMemory<byte> bytes) => new(bytes);

    /// <summary>An integer, in decimal.</summary>
    public static implicit operator RedisBytes(long number) => number.ToString(CultureInfo.InvariantCulture);

    /// <summary>A number, in the shortest decimal form that reads back as the same number.</summary>
    public static implicit operator RedisBytes(double number) => number.ToString("R", CultureInfo.InvariantCulture);

    /// <summary>The bytes as UTF-8 text.</summary>
    public override string ToString() => Encoding.UTF8.GetString(Memory.Span);
}
