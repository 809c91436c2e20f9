using System.Globalization;
using System.Text;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// SILO: the cluster as operators see it. What they wish is passed on to the silo that decides, so OK means that it has
/// been sent; SILO LIST and SILO SLOTS show what comes of it.
/// </summary>
internal static class SiloCommands
{
    private const CommandFlags Flags = CommandFlags.Admin | CommandFlags.NoScript | CommandFlags.Stale | CommandFlags.Loading | CommandFlags.NeedsConnection;
    private const string Group = "cluster";

    /// <summary>SILO LIST</summary>
    [Command("SILO|LIST", 2, Flags, Category.Dangerous, Since = "7.4.0", Complexity = "O(N) where N is the number of silos",
        Summary = "Returns the silos of the cluster, and how many slots each has.", Group = Group, Tips = "nondeterministic_output")]
    internal static void List(ref CommandContext call)
    {
        if (ClusterOf(call) is not { } cluster) return;
        ClusterView view = cluster.View;
        Dictionary<SiloId, int> slots = ClusterInfo.CountSlots(cluster.Map);
        call.Reply.Array(view.Members.Count);
        foreach (Member member in view.Members)
        {
            SiloEndpoints? endpoints = SiloEndpoints.Parse(member.Endpoint);
            (string Name, string Value)[] fields =
            [
                ("id", member.Id.ToString()),
                ("redis", endpoints?.Redis?.ToString() ?? ""),
                ("bus", endpoints?.Bus.ToString() ?? ""),
                ("orleans", endpoints?.Orleans ?? ""),
                ("weight", member.Weight.ToString(CultureInfo.InvariantCulture)),
                ("slots", slots.GetValueOrDefault(member.Id).ToString(CultureInfo.InvariantCulture)),
                ("state", member.IsLeaving ? "leaving" : "active"),
                ("role", string.Join(',', Roles(cluster, member.Id))),
            ];
            call.Reply.Map(fields.Length);
            foreach ((string name, string value) in fields)
            {
                call.Reply.BulkString(name);
                call.Reply.BulkString(value);
            }
        }
    }

    /// <summary>SILO SLOTS</summary>
    [Command("SILO|SLOTS", 2, Flags, Category.Dangerous, Since = "7.4.0", Complexity = "O(N) where N is the number of slots",
        Summary = "Returns the ranges of slots with their owners, epochs, and where they move.", Group = Group, Tips = "nondeterministic_output")]
    internal static void Slots(ref CommandContext call)
    {
        if (ClusterOf(call) is not { } cluster) return;
        SlotMap map = cluster.Map;
        var ranges = new List<(int First, int Last)>();
        for (int slot = 0; slot < map.Count; slot++)
        {
            if (map[slot].Owner.IsNone) continue;
            bool continues = ranges.Count > 0 && ranges[^1].Last == slot - 1 && map[slot].Equals(map[slot - 1]);
            if (continues) ranges[^1] = (ranges[^1].First, slot);
            else ranges.Add((slot, slot));
        }
        call.Reply.Array(ranges.Count);
        foreach ((int first, int last) in ranges)
        {
            SlotEntry entry = map[first];
            call.Reply.Array(5);
            call.Reply.Integer(first);
            call.Reply.Integer(last);
            call.Reply.BulkString(entry.Owner.ToString());
            call.Reply.Integer(entry.Epoch);
            if (entry.Target.IsNone) call.Reply.Null();
            else call.Reply.BulkString(entry.Target.ToString());
        }
    }

    /// <summary>SILO MOVE first last silo</summary>
    [Command("SILO|MOVE", 5, Flags, Category.Dangerous, Since = "7.4.0", Complexity = "O(N) where N is the number of slots",
        Summary = "Moves a range of slots to a silo, which is named by its number or by the address at which it answers clients.", Group = Group,
        Syntax = "first last silo")]
    internal static void Move(ref CommandContext call)
    {
        if (ClusterOf(call) is not { } cluster) return;
        if (!TrySlot(call[2], out int first) || !TrySlot(call[3], out int last) || first > last)
        {
            call.Reply.Error("ERR Invalid or out of range slot"u8);
            return;
        }
        if (MemberOf(ref call, cluster, 4) is not { } member) return;
        cluster.RequestMove(first, last, member.Id);
        call.Reply.Ok();
    }

    /// <summary>SILO DRAIN silo [CANCEL]</summary>
    [Command("SILO|DRAIN", -3, Flags, Category.Dangerous, Since = "7.4.0", Complexity = "O(N) where N is the number of slots",
        Summary = "Moves all slots away from a silo, and none there, until that is cancelled.", Group = Group, Syntax = "silo [CANCEL]")]
    internal static void Drain(ref CommandContext call)
    {
        if (ClusterOf(call) is not { } cluster) return;
        bool cancels = call.Count == 4 && call[3].Is("CANCEL"u8);
        if (call.Count > 3 && !cancels)
        {
            call.SyntaxError();
            return;
        }
        if (MemberOf(ref call, cluster, 2) is not { } member) return;
        cluster.RequestLeave(member.Id, !cancels);
        call.Reply.Ok();
    }

    /// <summary>SILO REBALANCE</summary>
    [Command("SILO|REBALANCE", 2, Flags, Category.Dangerous, Since = "7.4.0", Complexity = "O(N) where N is the number of slots",
        Summary = "Shares all slots out anew, by the silos' weights.", Group = Group)]
    internal static void Rebalance(ref CommandContext call)
    {
        if (ClusterOf(call) is not { } cluster) return;
        cluster.RequestBalance();
        call.Reply.Ok();
    }

    private static IClusterOperations? ClusterOf(in CommandContext call)
    {
        IClusterOperations? cluster = ClientCommand.Me(call).Server.Cluster;
        if (cluster is null) call.Reply.Error("ERR This silo is alone (orleans-clustering localhost)"u8);
        return cluster;
    }

    private static IEnumerable<string> Roles(IClusterOperations cluster, SiloId silo)
    {
        if (silo == cluster.Self) yield return "self";
        if (silo == cluster.Keeper) yield return "keeper";
    }

    private static bool TrySlot(ReadOnlySpan<byte> text, out int slot)
    {
        bool isSlot = Numbers.TryParseInt64(text, out long number) && number is >= 0 and < SlotMap.RedisSlots;
        slot = isSlot ? (int)number : 0;
        return isSlot;
    }

    private static Member? MemberOf(ref CommandContext call, IClusterState cluster, int argument)
    {
        string name = Encoding.UTF8.GetString(call[argument]);
        foreach (Member member in cluster.View.Members)
        {
            if (name == member.Id.ToString() || name == $"{member.Id.Node:x}" || name == SiloEndpoints.Parse(member.Endpoint)?.Redis?.ToString()) return member;
        }
        call.Reply.Error("ERR No such silo: see SILO LIST"u8);
        return null;
    }
}
