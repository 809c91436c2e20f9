using System.Text;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>INFO, and the subcommands of MEMORY that are about the process.</summary>
internal static class InfoCommand
{
    /// <summary>INFO [section [section ...]]</summary>
    [Command("INFO", -1, CommandFlags.Loading | CommandFlags.Stale | CommandFlags.NeedsConnection, Category.Dangerous, Since = "1.0.0", Complexity = "O(1)",
        Summary = "Returns information and statistics about the server.", Group = "server", Syntax = "[section [section ...]]",
        Tips = "nondeterministic_output;request_policy:all_shards;response_policy:special",
        History = "7.0.0: Added support for taking multiple section arguments.")]
    internal static void Info(ref CommandContext call)
    {
        var wanted = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        for (int i = 1; i < call.Count; i++) wanted.Add(Encoding.UTF8.GetString(call[i]));
        call.Reply.Verbatim("txt"u8, Encoding.UTF8.GetBytes(new ServerInfo(ClientCommand.Me(call).Server, call.NowMs).Show(wanted)));
    }

    /// <summary>MEMORY STATS</summary>
    [Command("MEMORY|STATS", 2, CommandFlags.NeedsConnection, Category.None, Since = "4.0.0", Complexity = "O(1)",
        Summary = "Returns details about memory usage.", Group = "server", Tips = "nondeterministic_output;request_policy:all_shards;response_policy:special")]
    internal static void MemoryStats(ref CommandContext call)
    {
        ClientConnection me = ClientCommand.Me(call);
        Store store = call.Store;
        long total = store.UsedMemory, managed = GC.GetTotalMemory(forceFullCollection: false),
            resident = Environment.WorkingSet, dataset = store.Slots.CountBytes();
        (int Database, long Keys, long Expiring)[] databases = [.. store.Slots.CountKeys()];
        long keys = databases.Sum(database => database.Keys);
        RespWriter reply = call.Reply;
        long peak = store.PeakMemory, startup = store.Slots.EmptyBytes, net = Math.Max(0, total - startup);
        reply.Map(15 + databases.Length);
        Pair(reply, "peak.allocated"u8, peak);
        Pair(reply, "total.allocated"u8, total);
        Pair(reply, "startup.allocated"u8, startup);
        Pair(reply, "clients.normal"u8, me.Server.Clients.All.Sum(client => client.BufferBytes));
        Pair(reply, "aof.buffer"u8, me.Server.Files.Aof.BufferBytes);
        foreach ((int database, _, _) in databases)
        {
            reply.BulkString($"db.{database}");
            reply.Map(2);
            Pair(reply, "overhead.hashtable.main"u8, store.Slots.SumKeys(database, call.NowMs).TableBytes);
            Pair(reply, "overhead.hashtable.expires"u8, 0); // a key's time of expiry is in its entry
        }
        Pair(reply, "overhead.total"u8, total - dataset);
        Pair(reply, "keys.count"u8, keys);
        Pair(reply, "keys.bytes-per-key"u8, keys == 0 ? 0 : net / keys);
        Pair(reply, "dataset.bytes"u8, dataset);
        Pair(reply, "dataset.percentage"u8, net == 0 ? 0 : Math.Min(100, dataset * 100.0 / net));
        Pair(reply, "peak.percentage"u8, peak == 0 ? 0 : total * 100.0 / peak);
        Pair(reply, "allocator.allocated"u8, managed);
        Pair(reply, "allocator.resident"u8, resident);
        Pair(reply, "fragmentation"u8, managed == 0 ? 0 : (double)resident / managed);
        Pair(reply, "fragmentation.bytes"u8, resident - managed);
    }

    /// <summary>MEMORY DOCTOR</summary>
    [Command("MEMORY|DOCTOR", 2, CommandFlags.NeedsConnection, Category.None, Since = "4.0.0", Complexity = "O(1)",
        Summary = "Outputs a memory problems report.", Group = "server", Tips = "nondeterministic_output;request_policy:all_shards;response_policy:special")]
    internal static void MemoryDoctor(ref CommandContext call)
    {
        ClientConnection[] clients = [.. ClientCommand.Me(call).Server.Clients.All];
        call.Reply.Verbatim("txt"u8, Encoding.UTF8.GetBytes(MemoryReport.Of(call.Store.UsedMemory, call.Store.Options.MaxMemory,
            GC.GetTotalMemory(forceFullCollection: false), Environment.WorkingSet, clients.Length, clients.Sum(client => client.BufferBytes))));
    }

    /// <summary>MEMORY PURGE — collects garbage, compacts the heap, and returns memory to the system.</summary>
    [Command("MEMORY|PURGE", 2, CommandFlags.None, Category.None, Since = "4.0.0", Complexity = "Depends on how much memory is allocated, could be slow",
        Summary = "Asks the allocator to release memory.", Group = "server", Tips = "request_policy:all_shards;response_policy:all_succeeded")]
    internal static void MemoryPurge(ref CommandContext call) => call.Continuation = async reply =>
    {
        await Task.Run(static () =>
        {
            GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            HeapKeeper.Purge();
            CLibrary.Trim();
        }).ConfigureAwait(false);
        reply.Ok();
    };

    /// <summary>MEMORY HELP</summary>
    [Command("MEMORY|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.None, Since = "4.0.0", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.", Group = "server")]
    internal static void MemoryHelp(ref CommandContext call) => HelpText.Reply(ref call,
        """
        DOCTOR
            Return memory problems reports.
        PURGE
            Attempt to purge dirty pages for reclamation by the allocator.
        STATS
            Return information about the memory usage of the server.
        USAGE <key> [SAMPLES <count>]
            Return memory in bytes used by <key> and its value. Nested values are
            sampled up to <count> times (default: 5, 0 means sample all).
        """);

    private static void Pair(RespWriter reply, ReadOnlySpan<byte> name, long value)
    {
        reply.BulkString(name);
        reply.Integer(value);
    }

    private static void Pair(RespWriter reply, ReadOnlySpan<byte> name, double value)
    {
        reply.BulkString(name);
        reply.Double(value);
    }
}
