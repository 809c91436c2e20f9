namespace OrleansRedis.Cluster;

/// <summary>
/// What an operator may wish of the cluster. Wishes are passed on to the silo that decides; they are lost if that is
/// gone, and what follows from them is seen in the map and the view.
/// </summary>
public interface IClusterOperations : IClusterState
{
    /// <summary>Slots of this silo that are being copied to others, and slots of others that are arriving.</summary>
    (int Away, int Coming) Moving { get; }

    /// <summary>The silo that this one takes for the keeper, which proposes changes; nobody if there is none.</summary>
    SiloId Keeper { get; }

    /// <summary>Wishes a range of slots to be moved to a silo.</summary>
    void RequestMove(int first, int last, SiloId to);

    /// <summary>Wishes all slots to be shared out anew, by weight.</summary>
    void RequestBalance();

    /// <summary>Wishes a silo to give all its slots away, or to take its share again.</summary>
    void RequestLeave(SiloId silo, bool isLeaving);
}
