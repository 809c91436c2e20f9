using System.Buffers;

namespace Orleans.Runtime;

/// <summary>A part of a grain whose state moves along when the grain migrates.</summary>
public interface IGrainMigrationParticipant
{
    /// <summary>Puts the state away; runs after <see cref="IGrainBase.OnDeactivateAsync"/>, on the silo left.</summary>
    void OnDehydrate(IDehydrationContext dehydrationContext);

    /// <summary>Takes the state out again; runs before <see cref="IGrainBase.OnActivateAsync"/>, on the silo reached.</summary>
    void OnRehydrate(IRehydrationContext rehydrationContext);
}

/// <summary>Where a migrating grain puts its state.</summary>
public interface IDehydrationContext
{
    /// <summary>The keys in use.</summary>
    IEnumerable<string> Keys { get; }

    /// <summary>Puts bytes away.</summary>
    void AddBytes(string key, ReadOnlySpan<byte> value);

    /// <summary>Puts away the bytes that <paramref name="valueWriter"/> writes.</summary>
    void AddBytes<T>(string key, Action<T, IBufferWriter<byte>> valueWriter, T value);

    /// <summary>Puts a value away if it can be serialized.</summary>
    bool TryAddValue<T>(string key, T? value);
}

/// <summary>Where a migrated grain finds its state.</summary>
public interface IRehydrationContext
{
    /// <summary>The keys in use.</summary>
    IEnumerable<string> Keys { get; }

    /// <summary>Finds bytes.</summary>
    bool TryGetBytes(string key, out ReadOnlySequence<byte> value);

    /// <summary>Finds a value.</summary>
    bool TryGetValue<T>(string key, out T? value);
}
