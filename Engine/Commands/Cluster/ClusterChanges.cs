using System.Globalization;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// CLUSTER: what an operator changes about the cluster. A change must be durable, and others may have to agree, so each
/// waits with no gate held, and none can be a part of a script.
/// </summary>
internal static class ClusterChanges
{
    private const CommandFlags Flags = CommandFlags.NoAsyncLoading | CommandFlags.Admin | CommandFlags.Stale;

    /// <summary>CLUSTER ADDSLOTS slot [slot ...]</summary>
    [Command("CLUSTER|ADDSLOTS", -3, Flags, Category.None, Since = "3.0.0", Group = "cluster",
        Complexity = "O(N) where N is the total number of hash slot arguments", Summary = "Assigns new hash slots to a node.", Syntax = "slot [slot ...]")]
    internal static void Addslots(ref CommandContext call) => ChangeSlots(ref call, areRanges: false, adds: true);

    /// <summary>CLUSTER ADDSLOTSRANGE start-slot end-slot [start-slot end-slot ...]</summary>
    [Command("CLUSTER|ADDSLOTSRANGE", -4, Flags, Category.None, Since = "7.0.0", Group = "cluster",
        Complexity = "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
        Summary = "Assigns new hash slot ranges to a node.", Syntax = "range=<start-slot:integer end-slot:integer> [start-slot:integer end-slot:integer ...]")]
    internal static void Addslotsrange(ref CommandContext call) => ChangeSlots(ref call, areRanges: true, adds: true);

    /// <summary>CLUSTER DELSLOTS slot [slot ...]</summary>
    [Command("CLUSTER|DELSLOTS", -3, Flags, Category.None, Since = "3.0.0", Group = "cluster",
        Complexity = "O(N) where N is the total number of hash slot arguments", Summary = "Sets hash slots as unbound for a node.",
        Syntax = "slot [slot ...]")]
    internal static void Delslots(ref CommandContext call) => ChangeSlots(ref call, areRanges: false, adds: false);

    /// <summary>CLUSTER DELSLOTSRANGE start-slot end-slot [start-slot end-slot ...]</summary>
    [Command("CLUSTER|DELSLOTSRANGE", -4, Flags, Category.None, Since = "7.0.0", Group = "cluster",
        Complexity = "O(N) where N is the total number of the slots between the start slot and end slot arguments.",
        Summary = "Sets hash slot ranges as unbound for a node.",
        Syntax = "range=<start-slot:integer end-slot:integer> [start-slot:integer end-slot:integer ...]")]
    internal static void Delslotsrange(ref CommandContext call) => ChangeSlots(ref call, areRanges: true, adds: false);

    /// <summary>CLUSTER FLUSHSLOTS</summary>
    [Command("CLUSTER|FLUSHSLOTS", 2, Flags, Category.None, Since = "3.0.0", Group = "cluster", Complexity = "O(1)",
        Summary = "Deletes all slots information from a node.")]
    internal static void Flushslots(ref CommandContext call)
    {
        if (TryControl(ref call, out IClusterControl control)) Change(ref call, control.FlushSlotsAsync);
    }

    /// <summary>CLUSTER SETSLOT slot IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE</summary>
    [Command("CLUSTER|SETSLOT", -4, Flags, Category.None, Since = "3.0.0", Group = "cluster", Complexity = "O(1)",
        Summary = "Binds a hash slot to a node.", Syntax = "slot subcommand=<IMPORTING node-id | MIGRATING node-id | NODE node-id | STABLE>")]
    internal static void Setslot(ref CommandContext call)
    {
        if (!TryControl(ref call, out IClusterControl control)) return;
        if (call.Store.Cluster!.Map.Myself.IsReplica)
        {
            call.Reply.Error("ERR Please use SETSLOT only with masters."u8);
            return;
        }
        if (!TryReadSlot(ref call, 2, out int slot)) return;
        string node = call.Count == 5 ? ClusterCommand.NodeId(call, 4) : "";
        if (call[3].Is("MIGRATING"u8) && call.Count == 5) Change(ref call, () => control.BeginMigratingAsync(slot, node));
        else if (call[3].Is("IMPORTING"u8) && call.Count == 5) Change(ref call, () => control.BeginImportingAsync(slot, node));
        else if (call[3].Is("NODE"u8) && call.Count == 5) Change(ref call, () => control.GiveSlotAsync(slot, node));
        else if (call[3].Is("STABLE"u8) && call.Count == 4) Change(ref call, () => control.StabilizeAsync(slot));
        else call.Reply.Error("ERR Invalid CLUSTER SETSLOT action or number of arguments. Try CLUSTER HELP"u8);
    }

    /// <summary>CLUSTER FORGET node-id</summary>
    [Command("CLUSTER|FORGET", 3, Flags, Category.None, Since = "3.0.0", Group = "cluster", Complexity = "O(1)",
        Summary = "Removes a node from the nodes table.", Syntax = "node-id")]
    internal static void Forget(ref CommandContext call)
    {
        if (!TryControl(ref call, out IClusterControl control)) return;
        string node = ClusterCommand.NodeId(call, 2);
        Change(ref call, () => control.ForgetAsync(node));
    }

    /// <summary>CLUSTER SET-CONFIG-EPOCH config-epoch</summary>
    [Command("CLUSTER|SET-CONFIG-EPOCH", 3, Flags, Category.None, Since = "3.0.0", Group = "cluster", Complexity = "O(1)",
        Summary = "Sets the configuration epoch for a new node.", Syntax = "config-epoch:integer")]
    internal static void SetConfigEpoch(ref CommandContext call)
    {
        if (!TryControl(ref call, out IClusterControl control) || !call.TryInt64(2, out long epoch)) return;
        if (epoch < 0) call.Reply.Error($"ERR Invalid config epoch specified: {epoch}");
        else Change(ref call, () => control.SetEpochAsync(epoch));
    }

    /// <summary>CLUSTER BUMPEPOCH</summary>
    [Command("CLUSTER|BUMPEPOCH", 2, Flags, Category.None, Since = "3.0.0", Group = "cluster", Tips = "nondeterministic_output", Complexity = "O(1)",
        Summary = "Advances the cluster config epoch.")]
    internal static void Bumpepoch(ref CommandContext call)
    {
        if (!TryControl(ref call, out IClusterControl control)) return;
        ClusterFace face = call.Store.Cluster!;
        long before = face.Map.Myself.Epoch;
        Change(ref call, control.RaiseEpochAsync, reply =>
        {
            long after = face.Map.Myself.Epoch;
            reply.SimpleString(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{(after == before ? "STILL" : "BUMPED")} {after}")));
        });
    }

    /// <summary>CLUSTER RESET [HARD | SOFT]</summary>
    [Command("CLUSTER|RESET", -2, CommandFlags.Admin | CommandFlags.Stale | CommandFlags.NoScript, Category.None, Since = "3.0.0", Group = "cluster",
        Complexity = "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.", Summary = "Resets a node.",
        Syntax = "reset-type=[HARD | SOFT]")]
    internal static void Reset(ref CommandContext call)
    {
        if (!TryControl(ref call, out IClusterControl control)) return;
        bool hard = call.Count == 3 && call[2].Is("HARD"u8);
        if (call.Count > 3) call.Reply.Error(Errors.SubcommandSyntax("cluster", call.Request));
        else if (call.Count == 3 && !hard && !call[2].Is("SOFT"u8)) call.SyntaxError();
        else Change(ref call, () => control.ResetAsync(hard));
    }

    /// <summary>CLUSTER SAVECONFIG</summary>
    [Command("CLUSTER|SAVECONFIG", 2, Flags, Category.None, Since = "3.0.0", Group = "cluster", Complexity = "O(1)",
        Summary = "Forces a node to save the cluster configuration to disk.")]
    internal static void Saveconfig(ref CommandContext call)
    {
        if (TryControl(ref call, out IClusterControl control)) Change(ref call, control.SaveAsync);
    }

    private static void ChangeSlots(ref CommandContext call, bool areRanges, bool adds)
    {
        if (!TryControl(ref call, out IClusterControl control)) return;
        if (areRanges && call.Count % 2 == 1)
        {
            call.Reply.Error(Errors.WrongArity(call.Command));
            return;
        }
        // As in Redis, single slots are all read before any is looked at.
        for (int i = 2; i < call.Count && !areRanges; i++)
        {
            if (!TryReadSlot(ref call, i, out _)) return;
        }
        var slots = new SortedSet<int>();
        ClusterMap map = call.Store.Cluster!.Map;
        for (int i = 2; i < call.Count; i += areRanges ? 2 : 1)
        {
            if (!TryReadSlot(ref call, i, out int first) || !TryReadSlot(ref call, areRanges ? i + 1 : i, out int last)) return;
            if (first > last)
            {
                call.Reply.Error($"ERR start slot number {first} is greater than end slot number {last}");
                return;
            }
            for (int slot = first; slot <= last; slot++)
            {
                string? error = adds && map.OwnerOf(slot) is not null ? ClusterErrors.SlotIsBusy(slot)
                    : !adds && map.OwnerOf(slot) is null ? ClusterErrors.SlotIsUnassigned(slot)
                    : slots.Add(slot) ? null : $"ERR Slot {slot} specified multiple times";
                if (error is null) continue;
                call.Reply.Error(error);
                return;
            }
        }
        int[] all = [.. slots];
        Change(ref call, () => adds ? control.AddSlotsAsync(all) : control.RemoveSlotsAsync(all));
    }

    private static bool TryReadSlot(ref CommandContext call, int index, out int slot)
    {
        bool isSlot = Numbers.TryParseInt64(call[index], out long number) && number is >= 0 and < KeySlot.Count;
        slot = (int)number;
        if (!isSlot) call.Reply.Error(ClusterErrors.InvalidSlot);
        return isSlot;
    }

    private static bool TryControl(ref CommandContext call, out IClusterControl control)
    {
        control = null!;
        if (!ClusterCommand.TryFace(ref call, out ClusterFace face)) return false;
        control = face.Control;
        if (!call.IsInScript) return true;
        call.Reply.Error("ERR This Redis command is not allowed from script"u8);
        return false;
    }

    private static void Change(ref CommandContext call, Func<Task<string?>> change, Action<RespWriter>? answer = null) => call.Continuation = async reply =>
    {
        string? error = await change().ConfigureAwait(false);
        if (error is not null) reply.Error(error);
        else if (answer is not null) answer(reply);
        else reply.Ok();
    };
}
