using OrleansRedis.Engine;
using Store = OrleansRedis.Engine.Store;

namespace OrleansRedis.Tests.Persistence;

/// <summary>Saves an engine in this process to RDB files and loads it from them.</summary>
internal static class RdbFiles
{
    /// <summary>A file of everything in a store, with one chunk for each slot and database.</summary>
    public static byte[] Save(Store store)
    {
        using var stream = new MemoryStream();
        var file = new RdbFileWriter(stream, store.Options);
        file.Begin(store.Clock.NowMs, store.UsedMemory, isAofBase: false, store.Files!.Functions.Codes);
        for (int database = 0; database < store.Slots.Databases; database++)
        {
            if (store.Slots.KeyCount(database) > 0) file.Resize(database, store.Slots.KeyCount(database), 0);
        }
        var chunk = new RdbWriter(store.Options.RdbCompression);
        for (int number = 0; number < KeySlot.Count; number++)
        {
            for (int database = 0; database < store.Slots.Databases; database++)
            {
                if (store.Slots[number]?.KeyspaceIfAny(database) is not { Count: > 0 } keyspace) continue;
                chunk.Clear();
                RdbEntryWriter.Select(chunk, database);
                foreach (KeyEntry entry in keyspace) RdbEntryWriter.Write(chunk, entry, store.Options, store.Clock.NowMs);
                file.Append(chunk);
            }
        }
        file.Finish();
        return stream.ToArray();
    }

    /// <summary>Loads a file into an engine and returns the loader.</summary>
    public static RdbLoader Load(EngineHarness engine, byte[] file)
    {
        RdbLoader loader = engine.Files.CreateLoader();
        long length = loader.Load(new MemoryStream(file));
        if (length != file.Length) throw new InvalidOperationException($"{length} bytes of {file.Length} were read.");
        return loader;
    }
}
