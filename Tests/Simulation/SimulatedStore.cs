using OrleansRedis.Cluster;

namespace OrleansRedis.Tests.Simulation;

/// <summary>
/// The cluster's store as silos see it: requests take time, may fail before or after they have happened, and may happen
/// long after they failed.
/// </summary>
internal sealed class SimulatedStore(SimulatedNetwork network, SimulatedRandom random)
{
    private readonly Dictionary<string, (long Version, object? Document)> _documents = [];

    /// <summary>Whether nothing gets through.</summary>
    public bool IsDown { get; set; }

    /// <summary>The usual time for either way is from 1 to this many steps.</summary>
    public int Delay { get; set; } = 2;

    /// <summary>How many in a million requests, and answers, are lost.</summary>
    public int LossPerMillion { get; set; }

    public object? Latest(string name) => _documents.GetValueOrDefault(name).Document;

    /// <summary>Reads a document: null if it was never written. If it fails, there is no answer.</summary>
    public void Read(string name, Action<object?> answer)
    {
        if (IsLost()) return;
        network.After(Way(), () =>
        {
            object? document = _documents.GetValueOrDefault(name).Document;
            if (!IsLost()) network.After(Way(), () => answer(document));
        });
    }

    /// <summary>Writes a document if its version is the one before.</summary>
    public void Write(string name, long version, object document, Action<WriteOutcome> answer)
    {
        bool fails = IsLost();
        if (fails) network.After(random.Between(20, 200), () => answer(WriteOutcome.Unknown));
        // What has failed for who asked may still be under way.
        if (fails && random.OneIn(2)) return;
        network.After(fails ? random.Between(1, 1500) : Way(), () =>
        {
            bool isStored = _documents.GetValueOrDefault(name).Version == version - 1;
            if (isStored) _documents[name] = (version, document);
            if (fails) return;
            if (IsLost()) network.After(random.Between(20, 200), () => answer(WriteOutcome.Unknown));
            else network.After(Way(), () => answer(isStored ? WriteOutcome.Stored : WriteOutcome.Refused));
        });
    }

    private bool IsLost() => IsDown || random.Millionth(LossPerMillion);

    private int Way() => 1 + random.Next(Delay);
}
