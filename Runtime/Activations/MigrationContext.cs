using System.Buffers;
using Orleans.Serialization;

namespace Orleans.Runtime;

/// <summary>The state of a migrating activation, on its way. Used by one silo at a time.</summary>
[GenerateSerializer]
internal sealed class MigrationContext : IDehydrationContext, IRehydrationContext
{
    [Id(0)]
    private readonly Dictionary<string, byte[]> _values = [];

    /// <summary>What references among the values become part of, once arrived.</summary>
    public NodeRuntime? Runtime { get; set; }

    public IEnumerable<string> Keys => _values.Keys;

    public void AddBytes(string key, ReadOnlySpan<byte> value) => _values[key] = value.ToArray();

    public void AddBytes<T>(string key, Action<T, IBufferWriter<byte>> valueWriter, T value)
    {
        var writer = new ArrayBufferWriter<byte>();
        valueWriter(value, writer);
        _values[key] = writer.WrittenSpan.ToArray();
    }

    public bool TryAddValue<T>(string key, T? value)
    {
        if (CodecProvider.TryGet(typeof(T)) is not Codec<T> codec) return false;
        var writer = new WireWriter();
        codec.Write(writer, value!);
        _values[key] = writer.Written.ToArray();
        return true;
    }

    public bool TryGetBytes(string key, out ReadOnlySequence<byte> value)
    {
        bool found = _values.TryGetValue(key, out byte[]? bytes);
        value = found ? new ReadOnlySequence<byte>(bytes!) : default;
        return found;
    }

    public bool TryGetValue<T>(string key, out T? value)
    {
        value = default;
        if (!_values.TryGetValue(key, out byte[]? bytes) || CodecProvider.TryGet(typeof(T)) is not Codec<T> codec) return false;
        value = codec.Read(new WireReader(bytes, Runtime));
        return true;
    }
}
