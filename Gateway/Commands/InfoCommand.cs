using System.Globalization;
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
        RedisServer server = ClientCommand.Me(call).Server;
        Store store = call.Store;
        var memory = MemoryFigures.Of(server);
        (int Database, long Keys, long Expiring)[] databases = [.. store.Slots.CountKeys()];
        long keys = databases.Sum(database => database.Keys);
        RespWriter reply = call.Reply;
        reply.Map(24 + databases.Length);
        Pair(reply, "peak.allocated"u8, memory.Peak);
        Pair(reply, "total.allocated"u8, memory.Used);
        Pair(reply, "startup.allocated"u8, memory.Startup);
        Pair(reply, "clients.normal"u8, memory.ClientBytes);
        Pair(reply, "aof.buffer"u8, server.Files.Aof.BufferBytes);
        foreach ((int database, _, _) in databases)
        {
            reply.BulkString($"db.{database}");
            reply.Map(2);
            Pair(reply, "overhead.hashtable.main"u8, store.Slots.SumKeys(database, call.NowMs).TableBytes);
            Pair(reply, "overhead.hashtable.expires"u8, 0); // a key's time of expiry is in its entry
        }
        Pair(reply, "overhead.total"u8, memory.Used - memory.Dataset);
        Pair(reply, "keys.count"u8, keys);
        Pair(reply, "keys.bytes-per-key"u8, keys == 0 ? 0 : memory.Net / keys);
        Pair(reply, "dataset.bytes"u8, memory.Dataset);
        Pair(reply, "dataset.percentage"u8, memory.DatasetPercent);
        Pair(reply, "peak.percentage"u8, memory.PeakPercent);
        Pair(reply, "allocator.allocated"u8, memory.Heap.LiveBytes);
        Pair(reply, "allocator.active"u8, memory.Heap.SpanBytes);
        Pair(reply, "allocator.resident"u8, memory.Heap.ResidentBytes);
        Pair(reply, "allocator.muzzy"u8, 0);
        Pair(reply, "allocator-fragmentation.ratio"u8, memory.FragmentationRatio);
        Pair(reply, "allocator-fragmentation.bytes"u8, memory.Heap.FreeBytes);
        Pair(reply, "allocator-rss.ratio"u8, memory.AllocatorResidentRatio);
        Pair(reply, "allocator-rss.bytes"u8, memory.AllocatorResidentBytes);
        Pair(reply, "rss-overhead.ratio"u8, memory.OverheadRatio);
        Pair(reply, "rss-overhead.bytes"u8, memory.OverheadBytes);
        Pair(reply, "gc-heap.bytes"u8, memory.ManagedBytes);
        Pair(reply, "fragmentation"u8, memory.ResidentRatio);
        Pair(reply, "fragmentation.bytes"u8, memory.ResidentBytesBeyondUsed);
    }

    /// <summary>MEMORY DOCTOR</summary>
    [Command("MEMORY|DOCTOR", 2, CommandFlags.NeedsConnection, Category.None, Since = "4.0.0", Complexity = "O(1)",
        Summary = "Outputs a memory problems report.", Group = "server", Tips = "nondeterministic_output;request_policy:all_shards;response_policy:special")]
    internal static void MemoryDoctor(ref CommandContext call) => call.Reply.Verbatim("txt"u8,
        Encoding.UTF8.GetBytes(MemoryReport.Of(MemoryFigures.Of(ClientCommand.Me(call).Server), call.Store.Options.MaxMemory)));

    /// <summary>MEMORY MALLOC-STATS — what the heap that data live in knows about itself, and the runtime about its own.</summary>
    [Command("MEMORY|MALLOC-STATS", 2, CommandFlags.None, Category.None, Since = "4.0.0", Complexity = "Depends on how much memory is allocated, could be slow",
        Summary = "Returns the allocator statistics.", Group = "server", Tips = "nondeterministic_output;request_policy:all_shards;response_policy:special")]
    internal static void MemoryMallocStats(ref CommandContext call)
    {
        GCMemoryInfo collector = GC.GetGCMemoryInfo(GCKind.Any);
        string text = string.Create(CultureInfo.InvariantCulture,
            $"""
            ___ {MemoryFigures.Allocator}: keys and values ___
            {HeapStatistics.Describe()}
            ___ dotnet-{Environment.Version}: everything else ___
            Taken from the system at the last collection: {collector.TotalCommittedBytes}, in use now: {GC.GetTotalMemory(forceFullCollection: false)}
            Collections of generations 0, 1, 2: {GC.CollectionCount(0)}, {GC.CollectionCount(1)}, {GC.CollectionCount(2)}
            Pauses in all: {GC.GetTotalPauseDuration().TotalMilliseconds:F1} ms

            """);
        call.Reply.Verbatim("txt"u8, Encoding.UTF8.GetBytes(text));
    }

    /// <summary>MEMORY PURGE — collects garbage, compacts the heap, and returns memory to the system.</summary>
    [Command("MEMORY|PURGE", 2, CommandFlags.None, Category.None, Since = "4.0.0", Complexity = "Depends on how much memory is allocated, could be slow",
        Summary = "Asks the allocator to release memory.", Group = "server", Tips = "request_policy:all_shards;response_policy:all_succeeded")]
    internal static void MemoryPurge(ref CommandContext call) => call.Continuation = async reply =>
    {
        await Task.Run(static () =>
        {
            LargeBuffers.Trim();
            LargeBuffers.Trim(); // nothing was needed since the first
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
        MALLOC-STATS
            Return internal statistics report from the memory allocator.
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
