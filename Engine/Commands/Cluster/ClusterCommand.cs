using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>CLUSTER: what is known of the cluster (Redis Cluster's protocol, cluster-enabled yes).</summary>
internal static class ClusterCommand
{
    private const CommandFlags Flags = CommandFlags.Stale;
    private const string Changing = "nondeterministic_output";

    /// <summary>CLUSTER SLOTS</summary>
    [Command("CLUSTER|SLOTS", 2, Flags | CommandFlags.Loading, Category.None, Since = "3.0.0", Group = "cluster", Tips = Changing,
        Complexity = "O(N) where N is the total number of Cluster nodes", Summary = "Returns the mapping of cluster slots to nodes.",
        Deprecated = "7.0.0: `CLUSTER SHARDS`", History = "4.0.0: Added node IDs.\n7.0.0: Added additional networking metadata field.")]
    internal static void Slots(ref CommandContext call)
    {
        if (!TryFace(ref call, out ClusterFace face)) return;
        ClusterMap map = face.Map;
        int begin = call.Reply.Begin(), count = 0;
        foreach ((ClusterNode owner, int first, int last) in map.Ranges())
        {
            ClusterNode[] replicas = [.. map.ReplicasOf(owner).Where(static replica => !replica.IsFailing && replica.ReplicationOffset != 0)];
            call.Reply.Array(3 + replicas.Length);
            call.Reply.Integer(first);
            call.Reply.Integer(last);
            WriteNetworking(call, face, owner);
            foreach (ClusterNode replica in replicas) WriteNetworking(call, face, replica);
            count++;
        }
        call.Reply.Finish(begin, Aggregate.Array, count);
    }

    /// <summary>CLUSTER SHARDS</summary>
    [Command("CLUSTER|SHARDS", 2, Flags | CommandFlags.Loading, Category.None, Since = "7.0.0", Group = "cluster", Tips = Changing,
        Complexity = "O(N) where N is the total number of cluster nodes", Summary = "Returns the mapping of cluster slots to shards.")]
    internal static void Shards(ref CommandContext call)
    {
        if (!TryFace(ref call, out ClusterFace face)) return;
        ClusterMap map = face.Map;
        IGrouping<string, ClusterNode>[] shards = [.. map.Nodes.GroupBy(static node => node.ShardId)];
        RespWriter reply = call.Reply;
        reply.Array(shards.Length);
        foreach (IGrouping<string, ClusterNode> shard in shards)
        {
            (int First, int Last)[] ranges = shard.FirstOrDefault(static node => !node.IsReplica) is { } master ? [.. map.RangesOf(master)] : [];
            reply.Map(2);
            reply.BulkString("slots"u8);
            reply.Array(ranges.Length * 2);
            foreach ((int first, int last) in ranges)
            {
                reply.Integer(first);
                reply.Integer(last);
            }
            reply.BulkString("nodes"u8);
            reply.Array(shard.Count());
            foreach (ClusterNode node in shard) WriteShardNode(call, face, node);
        }
    }

    /// <summary>CLUSTER NODES</summary>
    [Command("CLUSTER|NODES", 2, Flags, Category.None, Since = "3.0.0", Group = "cluster", Tips = Changing,
        Complexity = "O(N) where N is the total number of Cluster nodes", Summary = "Returns the cluster configuration for a node.")]
    internal static void Nodes(ref CommandContext call)
    {
        if (!TryFace(ref call, out ClusterFace face)) return;
        call.Reply.Verbatim("txt"u8, Encoding.UTF8.GetBytes(NodesText.Show(face.Map, call.Session.UsesTls, call.Session.LocalIp)));
    }

    /// <summary>CLUSTER INFO</summary>
    [Command("CLUSTER|INFO", 2, Flags, Category.None, Since = "3.0.0", Group = "cluster", Tips = Changing, Complexity = "O(1)",
        Summary = "Returns information about the state of a node.")]
    internal static void Info(ref CommandContext call)
    {
        if (!TryFace(ref call, out ClusterFace face)) return;
        ClusterMap map = face.Map;
        int failing = 0, possiblyFailing = 0;
        foreach ((ClusterNode owner, int first, int last) in map.Ranges())
        {
            if (owner.IsFailing) failing += last - first + 1;
            else if ((owner.Flags & ClusterNodeFlags.PossiblyFailing) != 0) possiblyFailing += last - first + 1;
        }
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"cluster_state:{(face.IsOk(map) ? "ok" : "fail")}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"cluster_slots_assigned:{map.AssignedCount}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"cluster_slots_ok:{map.AssignedCount - failing - possiblyFailing}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"cluster_slots_pfail:{possiblyFailing}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"cluster_slots_fail:{failing}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"cluster_known_nodes:{map.Nodes.Count}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"cluster_size:{map.Size}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"cluster_current_epoch:{map.CurrentEpoch}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"cluster_my_epoch:{map.EpochOf(map.Myself)}\r\n");
        IReadOnlyList<ClusterMessages> messages = face.Topology.Messages;
        foreach (ClusterMessages kind in messages.Where(static kind => kind.Sent != 0))
            text.Append(CultureInfo.InvariantCulture, $"cluster_stats_messages_{kind.Kind}_sent:{kind.Sent}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"cluster_stats_messages_sent:{messages.Sum(static kind => kind.Sent)}\r\n");
        foreach (ClusterMessages kind in messages.Where(static kind => kind.Received != 0))
            text.Append(CultureInfo.InvariantCulture, $"cluster_stats_messages_{kind.Kind}_received:{kind.Received}\r\n");
        text.Append(CultureInfo.InvariantCulture, $"cluster_stats_messages_received:{messages.Sum(static kind => kind.Received)}\r\n");
        text.Append("total_cluster_links_buffer_limit_exceeded:0\r\n"); // cluster-link-sendbuf-limit has no meaning here
        call.Reply.Verbatim("txt"u8, Encoding.ASCII.GetBytes(text.ToString()));
    }

    /// <summary>CLUSTER MYID</summary>
    [Command("CLUSTER|MYID", 2, Flags, Category.None, Since = "3.0.0", Group = "cluster", Complexity = "O(1)", Summary = "Returns the ID of a node.")]
    internal static void Myid(ref CommandContext call)
    {
        if (TryFace(ref call, out ClusterFace face)) call.Reply.BulkString(face.Map.Myself.Id);
    }

    /// <summary>CLUSTER MYSHARDID</summary>
    [Command("CLUSTER|MYSHARDID", 2, Flags, Category.None, Since = "7.2.0", Group = "cluster", Tips = Changing, Complexity = "O(1)",
        Summary = "Returns the shard ID of a node.")]
    internal static void Myshardid(ref CommandContext call)
    {
        if (TryFace(ref call, out ClusterFace face)) call.Reply.BulkString(face.Map.Myself.ShardId);
    }

    /// <summary>CLUSTER KEYSLOT key</summary>
    [Command("CLUSTER|KEYSLOT", 3, Flags, Category.None, Since = "3.0.0", Group = "cluster", Complexity = "O(N) where N is the number of bytes in the key",
        Summary = "Returns the hash slot for a key.", Syntax = "key:string")]
    internal static void Keyslot(ref CommandContext call)
    {
        if (TryFace(ref call, out _)) call.Reply.Integer(KeySlot.Of(call[2]));
    }

    /// <summary>CLUSTER COUNTKEYSINSLOT slot</summary>
    [Command("CLUSTER|COUNTKEYSINSLOT", 3, Flags, Category.None, Since = "3.0.0", Group = "cluster", Complexity = "O(1)",
        Summary = "Returns the number of keys in a hash slot.", Syntax = "slot")]
    internal static void Countkeysinslot(ref CommandContext call)
    {
        if (!TryFace(ref call, out _) || !call.TryInt64(2, out long slot)) return;
        if (slot is < 0 or >= KeySlot.Count) call.Reply.Error("ERR Invalid slot"u8);
        else call.Reply.Integer(call.Store.Slots.KeyCount(0, (int)slot));
    }

    /// <summary>CLUSTER GETKEYSINSLOT slot count — as in Redis, with those that have expired and are not deleted yet.</summary>
    [Command("CLUSTER|GETKEYSINSLOT", 4, Flags | CommandFlags.WholeKeyspace, Category.None, Since = "3.0.0", Group = "cluster", Tips = Changing,
        Complexity = "O(N) where N is the number of requested keys", Summary = "Returns the key names in a hash slot.", Syntax = "slot count")]
    internal static void Getkeysinslot(ref CommandContext call)
    {
        if (!TryFace(ref call, out _) || !call.TryInt64(2, out long number) || !call.TryInt64(3, out long most)) return;
        if (number is < 0 or >= KeySlot.Count || most < 0)
        {
            call.Reply.Error("ERR Invalid slot or number of keys"u8);
            return;
        }
        int begin = call.Reply.Begin(), count = 0;
        if (call.Enter((int)number) is { } slot)
        {
            if (most > 0 && slot.KeyspaceIfAny(0) is { } keyspace)
            {
                foreach (KeyEntry entry in keyspace)
                {
                    call.Reply.BulkString(entry.Key);
                    if (++count == most) break;
                }
            }
            call.Leave(slot);
        }
        call.Reply.Finish(begin, Aggregate.Array, count);
    }

    /// <summary>CLUSTER LINKS</summary>
    [Command("CLUSTER|LINKS", 2, Flags, Category.None, Since = "7.0.0", Group = "cluster", Tips = Changing,
        Complexity = "O(N) where N is the total number of Cluster nodes", Summary = "Returns a list of all TCP links to and from peer nodes.")]
    internal static void Links(ref CommandContext call)
    {
        if (!TryFace(ref call, out ClusterFace face)) return;
        RespWriter reply = call.Reply;
        reply.Array(face.Topology.Links.Count);
        foreach (ClusterLink link in face.Topology.Links)
        {
            reply.Map(6);
            reply.BulkString("direction"u8);
            reply.BulkString(link.IsOutgoing ? "to"u8 : "from"u8);
            reply.BulkString("node"u8);
            reply.BulkString(link.NodeId);
            reply.BulkString("create-time"u8);
            reply.Integer(link.CreatedAtMs);
            reply.BulkString("events"u8);
            reply.BulkString(link.Events);
            reply.BulkString("send-buffer-allocated"u8);
            reply.Integer(link.SendBufferAllocated);
            reply.BulkString("send-buffer-used"u8);
            reply.Integer(link.SendBufferUsed);
        }
    }

    /// <summary>CLUSTER REPLICAS node-id</summary>
    [Command("CLUSTER|REPLICAS", 3, Flags | CommandFlags.Admin, Category.None, Since = "5.0.0", Group = "cluster", Tips = Changing,
        Complexity = "O(N) where N is the number of replicas.", Summary = "Lists the replica nodes of a master node.", Syntax = "node-id")]
    [Command("CLUSTER|SLAVES", 3, Flags | CommandFlags.Admin, Category.None, Since = "3.0.0", Group = "cluster", Tips = Changing,
        Complexity = "O(N) where N is the number of replicas.", Summary = "Lists the replica nodes of a master node.", Syntax = "node-id",
        Deprecated = "5.0.0: `CLUSTER REPLICAS`")]
    internal static void Replicas(ref CommandContext call)
    {
        if (!TryFace(ref call, out ClusterFace face)) return;
        ClusterMap map = face.Map;
        if (map.Find(NodeId(call, 2)) is not { } node)
        {
            call.Reply.Error(ClusterErrors.UnknownNode(NodeId(call, 2)));
            return;
        }
        if (node.IsReplica)
        {
            call.Reply.Error("ERR The specified node is not a master"u8);
            return;
        }
        ClusterNode[] replicas = [.. map.ReplicasOf(node)];
        call.Reply.Array(replicas.Length);
        foreach (ClusterNode replica in replicas) call.Reply.BulkString(NodesText.Show(map, replica, call.Session.UsesTls, call.Session.LocalIp));
    }

    /// <summary>CLUSTER COUNT-FAILURE-REPORTS node-id</summary>
    [Command("CLUSTER|COUNT-FAILURE-REPORTS", 3, Flags | CommandFlags.Admin, Category.None, Since = "3.0.0", Group = "cluster", Tips = Changing,
        Complexity = "O(N) where N is the number of failure reports", Summary = "Returns the number of active failure reports active for a node.",
        Syntax = "node-id")]
    internal static void CountFailureReports(ref CommandContext call)
    {
        if (!TryFace(ref call, out ClusterFace face)) return;
        if (face.Map.Find(NodeId(call, 2)) is { } node) call.Reply.Integer(face.Topology.CountFailureReports(node));
        else call.Reply.Error(ClusterErrors.UnknownNode(NodeId(call, 2)));
    }

    /// <summary>CLUSTER HELP</summary>
    [Command("CLUSTER|HELP", 2, CommandFlags.Loading | CommandFlags.Stale, Category.None, Since = "5.0.0", Group = "cluster", Complexity = "O(1)",
        Summary = "Returns helpful text about the different subcommands.")]
    internal static void Help(ref CommandContext call)
    {
        if (!TryFace(ref call, out _)) return;
        HelpText.Reply(ref call, """
            COUNTKEYSINSLOT <slot>
                Return the number of keys in <slot>.
            GETKEYSINSLOT <slot> <count>
                Return key names stored by current node in a slot.
            INFO
                Return information about the cluster.
            KEYSLOT <key>
                Return the hash slot for <key>.
            MYID
                Return the node id.
            MYSHARDID
                Return the node's shard id.
            NODES
                Return cluster configuration seen by node. Output format:
                <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...
            REPLICAS <node-id>
                Return <node-id> replicas.
            SLOTS
                Return information about slots range mappings. Each range is made of:
                start, end, master and replicas IP addresses, ports and ids
            SHARDS
                Return information about slot range mappings and the nodes associated with them.
            ADDSLOTS <slot> [<slot> ...]
                Assign slots to current node.
            ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]
                Assign slots which are between <start-slot> and <end-slot> to current node.
            BUMPEPOCH
                Advance the cluster config epoch.
            COUNT-FAILURE-REPORTS <node-id>
                Return number of failure reports for <node-id>.
            DELSLOTS <slot> [<slot> ...]
                Delete slots information from current node.
            DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]
                Delete slots information which are between <start-slot> and <end-slot> from current node.
            FORGET <node-id>
                Remove a node from the cluster.
            FLUSHSLOTS
                Delete current node own slots information.
            RESET [HARD|SOFT]
                Reset current node (default: soft).
            SET-CONFIG-EPOCH <epoch>
                Set config epoch of current node.
            SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)
                Set slot state.
            SAVECONFIG
                Force saving cluster configuration on disk.
            LINKS
                Return information about all network links between this node and its peers.
                Output format is an array where each array element is a map containing attributes of a link
            """);
    }

    /// <summary>Redis Cluster's protocol; if it is not spoken, the error is in the reply.</summary>
    internal static bool TryFace(ref CommandContext call, out ClusterFace face)
    {
        face = call.Store.Cluster!;
        if (face is not null) return true;
        call.Reply.Error(ClusterErrors.Disabled);
        return false;
    }

    /// <summary>An argument that names a node.</summary>
    internal static string NodeId(in CommandContext call, int index) => Errors.Quoted(call[index]);

    /// <summary>A node in CLUSTER SLOTS: how to reach it, its id, and what else is known of how to reach it.</summary>
    private static void WriteNetworking(in CommandContext call, ClusterFace face, ClusterNode node)
    {
        RespWriter reply = call.Reply;
        ClusterEndpointType preferred = call.Store.Options.ClusterPreferredEndpointType;
        reply.Array(4);
        if (preferred == ClusterEndpointType.UnknownEndpoint) reply.Null();
        else reply.BulkString(face.Endpoint(node, call.Session));
        reply.Integer(node.PortFor(call.Session.UsesTls));
        reply.BulkString(node.Id);
        bool tellsIp = preferred != ClusterEndpointType.Ip, tellsName = preferred != ClusterEndpointType.Hostname && node.HostName.Length != 0;
        reply.Map((tellsIp ? 1 : 0) + (tellsName ? 1 : 0));
        if (tellsIp)
        {
            reply.BulkString("ip"u8);
            reply.BulkString(face.IpOf(node, call.Session));
        }
        if (!tellsName) return;
        reply.BulkString("hostname"u8);
        reply.BulkString(node.HostName);
    }

    private static void WriteShardNode(in CommandContext call, ClusterFace face, ClusterNode node)
    {
        RespWriter reply = call.Reply;
        int begin = reply.Begin(), pairs = 7;
        reply.BulkString("id"u8);
        reply.BulkString(node.Id);
        pairs += WritePort(reply, "port"u8, node.Port) + WritePort(reply, "tls-port"u8, node.TlsPort);
        reply.BulkString("ip"u8);
        reply.BulkString(face.IpOf(node, call.Session));
        reply.BulkString("endpoint"u8);
        reply.BulkString(face.Endpoint(node, call.Session));
        if (node.HostName.Length != 0)
        {
            reply.BulkString("hostname"u8);
            reply.BulkString(node.HostName);
            pairs++;
        }
        long offset = ReferenceEquals(node, face.Map.Myself) ? call.Store.Effects.Log.Appended : node.ReplicationOffset;
        reply.BulkString("role"u8);
        reply.BulkString(node.IsReplica ? "replica"u8 : "master"u8);
        reply.BulkString("replication-offset"u8);
        reply.Integer(offset);
        reply.BulkString("health"u8);
        reply.BulkString(node.IsFailing ? "fail"u8 : node.IsReplica && offset == 0 ? "loading"u8 : "online"u8);
        reply.Finish(begin, Aggregate.Map, pairs - 1);
    }

    private static int WritePort(RespWriter reply, ReadOnlySpan<byte> name, int port)
    {
        if (port == 0) return 0;
        reply.BulkString(name);
        reply.Integer(port);
        return 1;
    }
}
