using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>What a client of Redis Cluster's protocol says of its connection: ASKING, READONLY, READWRITE.</summary>
internal static class ClusterModes
{
    private const CommandFlags Flags = CommandFlags.Fast | CommandFlags.NeedsConnection;

    /// <summary>ASKING — the next command is served though its slot is only being imported.</summary>
    [Command("ASKING", 1, Flags, Category.Connection, Since = "3.0.0", Group = "cluster", Complexity = "O(1)",
        Summary = "Signals that a cluster client is following an -ASK redirect.")]
    internal static void Ask(ref CommandContext call)
    {
        if (!IsSpoken(ref call)) return;
        call.Session.Asking = Asking.ForNext;
        call.Reply.Ok();
    }

    /// <summary>READONLY — a replica may be read.</summary>
    [Command("READONLY", 1, Flags | CommandFlags.Loading | CommandFlags.Stale, Category.Connection, Since = "3.0.0", Group = "cluster",
        Complexity = "O(1)", Summary = "Enables read-only queries for a connection to a Redis Cluster replica node.")]
    internal static void ReadOnly(ref CommandContext call) => Read(ref call, fromReplica: true);

    /// <summary>READWRITE — the contrary of READONLY.</summary>
    [Command("READWRITE", 1, Flags | CommandFlags.Loading | CommandFlags.Stale, Category.Connection, Since = "3.0.0", Group = "cluster",
        Complexity = "O(1)", Summary = "Enables read-write queries for a connection to a Reids Cluster replica node.")]
    internal static void ReadWrite(ref CommandContext call) => Read(ref call, fromReplica: false);

    private static void Read(ref CommandContext call, bool fromReplica)
    {
        if (!IsSpoken(ref call)) return;
        call.Session.ReadsFromReplica = fromReplica;
        call.Reply.Ok();
    }

    private static bool IsSpoken(ref CommandContext call)
    {
        if (call.Store.Cluster is not null) return true;
        call.Reply.Error(ClusterErrors.Disabled);
        return false;
    }
}
