using OrleansRedis.Engine;

namespace OrleansRedis.Grains.Storage;

/// <summary>Creates the store that orleans-storage names.</summary>
public static class SlotStorages
{
    /// <summary>
    /// Creates the store; nothing is connected yet. Throws <see cref="ArgumentException"/>, with a message for the
    /// operator, if the directives do not fit together.
    /// </summary>
    public static ISlotStorage Create(ServerOptions options)
    {
        string connection = options.OrleansStorageConnectionString;
        if (options.OrleansStorage != OrleansStorage.File && options.AppendOnly)
            throw new ArgumentException(
                $"appendonly yes is for orleans-storage file: with orleans-storage {Word(options.OrleansStorage)} every change is logged in that store "
                    + $"already.");
        switch (options.OrleansStorage)
        {
            case OrleansStorage.Postgres:
                if (connection.Length == 0)
                    throw new ArgumentException(
                        "orleans-storage postgres needs orleans-storage-connection-string \"Host=…;Username=…;Password=…;Database=…\".");
                return new PostgresSlotStorage(connection, options.OrleansServiceId);
            case OrleansStorage.Memory:
                return new MemorySlotStorage(connection.Length == 0 ? null : connection);
            default:
                return new FileSlotStorage();
        }
    }

    private static string Word(OrleansStorage storage) => storage == OrleansStorage.Postgres ? "postgres" : "memory";
}
