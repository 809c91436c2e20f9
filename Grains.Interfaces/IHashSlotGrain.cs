namespace OrleansRedis.Grains;

/// <summary>
/// A hash slot of the keyspace, by its number (0 to 16,383): the owner of every key that hashes to it
/// (CRC16 of the key, or of its {hash tag}, modulo 16,384).
/// Applications usually reach it through <see cref="RedisDatabase"/>.
/// </summary>
[Alias("OrleansRedis.IHashSlotGrain")]
public interface IHashSlotGrain : IGrainWithIntegerKey
{
    /// <summary>Activates the slot, if it is not active yet, and says where it is.</summary>
    [Alias("Locate")]
    Task<SlotLocation> LocateAsync();

    /// <summary>Runs one command and returns its reply as RESP3, an error reply included.</summary>
    /// <param name="database">The logical database, from 0.</param>
    /// <param name="arguments">The command's name and arguments. The keys may be of any slots.</param>
    [Alias("Execute")]
    Task<byte[]> ExecuteAsync(int database, [Immutable] ReadOnlyMemory<byte>[] arguments);
}

/// <summary>Where a slot is.</summary>
/// <param name="Silo">The silo on which it is active.</param>
/// <param name="Epoch">The number of this activation, higher than any before it.</param>
[GenerateSerializer, Immutable, Alias("OrleansRedis.SlotLocation")]
public sealed record SlotLocation([property: Id(0)] SiloAddress Silo, [property: Id(1)] long Epoch);
