namespace OrleansRedis.Cluster;

/// <summary>A silo that is in.</summary>
/// <param name="Id">Who.</param>
/// <param name="Endpoint">Where its bus listens; a text that this project does not look into.</param>
/// <param name="Weight">Its share of the slots in relation to the others' (<c>orleans-weight</c>); not below 0.</param>
/// <param name="Zone">What may fail as a whole: replicas go to other zones than the owner's. May be empty.</param>
/// <param name="IsLeaving">Whether it is to be left without slots.</param>
public sealed record Member(SiloId Id, string Endpoint, int Weight = 100, string Zone = "", bool IsLeaving = false)
{
    /// <summary>What counts when slots are shared out.</summary>
    public long EffectiveWeight => IsLeaving ? 0 : Weight;
}
