namespace OrleansRedis.Engine;

/// <summary>Redis's words for what is wrong with a request about the cluster.</summary>
public static class ClusterErrors
{
    /// <summary>cluster-enabled no.</summary>
    public static ReadOnlySpan<byte> Disabled => "ERR This instance has cluster support disabled"u8;

    public const string InvalidSlot = "ERR Invalid or out of range slot";

    /// <summary>A slot can only be a master's.</summary>
    public const string NoMaster = "ERR Target node is not a master";

    public static string SlotIsBusy(int slot) => $"ERR Slot {slot} is already busy";

    public static string SlotIsUnassigned(int slot) => $"ERR Slot {slot} is already unassigned";

    public static string UnknownNode(string id) => $"ERR Unknown node {id}";
}
