namespace OrleansRedis.Grains;

/// <summary>
/// A hash slot of the keyspace, by its number (0 to 16,383). It owns every key that hashes to it (CRC16 of the key, or
/// of its {hash tag}, modulo 16,384). Applications usually reach it through <see cref="RedisDatabase"/>. Unless the user
/// "default" needs no password, every call must bring a user and the password (<see cref="Caller"/>), or it fails with a
/// <see cref="RedisErrorException"/>.
/// </summary>
[Alias("OrleansRedis.IHashSlotGrain")]
public interface IHashSlotGrain : IGrainWithIntegerKey
{
    /// <summary>Activates the slot if it is not active yet, and returns where it is.</summary>
    [Alias("Locate")]
    Task<SlotLocation> LocateAsync();

    /// <summary>
    /// Runs one command and returns its reply as RESP3. Errors are returned as replies too. A command that waits (BLPOP)
    /// takes nothing once its caller has gone: it ends with the error TIMEOUT before the silo's ResponseTimeout is over
    /// (by a fifth of it, for the way back), and when the caller cancels or, with a shorter ResponseTimeout of its own,
    /// times out.
    /// </summary>
    /// <param name="database">The logical database, from 0.</param>
    /// <param name="arguments">The command's name and arguments. The keys may belong to any slots.</param>
    /// <param name="cancellation">Ends a command that waits.</param>
    [Alias("Execute")]
    Task<byte[]> ExecuteAsync(int database, [Immutable] ReadOnlyMemory<byte>[] arguments, CancellationToken cancellation = default);
}

/// <summary>Where a slot is.</summary>
/// <param name="Silo">The silo on which it is active.</param>
/// <param name="Epoch">The number of this activation, higher than that of any before it.</param>
[GenerateSerializer, Immutable, Alias("OrleansRedis.SlotLocation")]
public sealed record SlotLocation([property: Id(0)] SiloAddress Silo, [property: Id(1)] long Epoch);
