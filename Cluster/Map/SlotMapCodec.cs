namespace OrleansRedis.Cluster;

/// <summary>
/// Slot maps as bytes: whole, as the store keeps them, or as the difference to an older version, as silos pass them on.
/// Neighbouring slots with equal entries are one run, and silos are numbers in a table, so a map of 16,384 slots in a
/// few hundred runs takes a few kilobytes.
/// </summary>
public static class SlotMapCodec
{
    private const string WholeKind = "ORSM", DeltaKind = "ORSD";
    private const byte Format = 1;

    /// <summary>The most slots that a document may speak of.</summary>
    private const int MostSlots = 1 << 20;

    /// <summary>The whole map.</summary>
    public static byte[] Encode(SlotMap map)
    {
        var writer = new DocumentWriter(WholeKind, Format);
        WriteChanges(writer, map, null);
        return writer.Finish();
    }

    /// <summary>Reads what <see cref="Encode"/> has written.</summary>
    /// <exception cref="InvalidDataException">The bytes are damaged, or of a format of the future.</exception>
    public static SlotMap Decode(ReadOnlySpan<byte> document)
    {
        var reader = new DocumentReader(document, WholeKind, Format);
        return ReadChanges(ref reader, null);
    }

    /// <summary>What makes <paramref name="newer"/> of <paramref name="older"/>.</summary>
    public static byte[] EncodeDelta(SlotMap older, SlotMap newer)
    {
        if (older.Count != newer.Count) throw new ArgumentException("The maps have different numbers of slots.", nameof(older));
        var writer = new DocumentWriter(DeltaKind, Format);
        writer.Number(older.Version);
        WriteChanges(writer, newer, older);
        return writer.Finish();
    }

    /// <summary>
    /// Makes a newer map of the one that the delta was made for; null if <paramref name="map"/> is another version.
    /// </summary>
    /// <exception cref="InvalidDataException">The bytes are damaged, or of a format of the future.</exception>
    public static SlotMap? Apply(SlotMap map, ReadOnlySpan<byte> delta)
    {
        var reader = new DocumentReader(delta, DeltaKind, Format);
        return reader.Number() == map.Version ? ReadChanges(ref reader, map) : null;
    }

    private static void WriteChanges(DocumentWriter writer, SlotMap map, SlotMap? older)
    {
        List<(int First, int Count)> runs = RunsOf(map, older);
        var silos = new SortedDictionary<SiloId, int>();
        foreach ((int first, _) in runs)
        {
            SlotEntry entry = map[first];
            silos.TryAdd(entry.Owner, 0);
            silos.TryAdd(entry.Target, 0);
            foreach (Replica replica in entry.Replicas) silos.TryAdd(replica.Silo, 0);
        }
        writer.Number(map.Version);
        writer.Number(map.ViewVersion);
        writer.Number(map.Count);
        writer.Number(silos.Count);
        int number = 0;
        foreach (SiloId silo in silos.Keys.ToArray())
        {
            writer.Silo(silo);
            silos[silo] = number++;
        }
        writer.Number(runs.Count);
        int next = 0;
        foreach ((int first, int count) in runs)
        {
            SlotEntry entry = map[first];
            writer.Number(first - next);
            writer.Number(count);
            writer.Number(silos[entry.Owner]);
            writer.Number(entry.Epoch);
            writer.Number(silos[entry.Target]);
            writer.Number(entry.Move);
            writer.Number(entry.Replicas.Count);
            foreach (Replica replica in entry.Replicas) writer.Number((silos[replica.Silo] * 2L) + (replica.IsInSync ? 1 : 0));
            next = first + count;
        }
    }

    private static List<(int First, int Count)> RunsOf(SlotMap map, SlotMap? older)
    {
        var runs = new List<(int First, int Count)>();
        for (int slot = 0; slot < map.Count; slot++)
        {
            if (older is not null && map[slot].Equals(older[slot])) continue;
            if (runs.Count > 0 && runs[^1].First + runs[^1].Count == slot && map[slot].Equals(map[slot - 1])) runs[^1] = (runs[^1].First, runs[^1].Count + 1);
            else runs.Add((slot, 1));
        }
        return runs;
    }

    private static SlotMap ReadChanges(ref DocumentReader reader, SlotMap? older)
    {
        long version = reader.Number(), viewVersion = reader.Number();
        int slots = reader.Number(MostSlots);
        if (older is not null && (slots != older.Count || version <= older.Version)) throw reader.Wrong("belongs to another map");
        var silos = new SiloId[reader.Count()];
        for (int i = 0; i < silos.Length; i++) silos[i] = reader.Silo();
        int runs = reader.Count(), next = 0;
        SlotEntry[] entries = older is null ? new SlotEntry[slots] : older.CopyOfEntries();
        for (; runs > 0; runs--)
        {
            int first = next + reader.Number(slots - next), count = reader.Number(slots - first);
            if (older is null && first != next) throw reader.Wrong("has a gap");
            SiloId owner = SiloOf(ref reader, silos);
            long epoch = reader.Number();
            SiloId target = SiloOf(ref reader, silos);
            long move = reader.Number();
            var replicas = new Replica[reader.Count()];
            for (int i = 0; i < replicas.Length; i++)
            {
                int code = reader.Number(int.MaxValue);
                if (code / 2 >= silos.Length) throw reader.Wrong("names a silo that is not in its table");
                replicas[i] = new(silos[code / 2], code % 2 == 1);
            }
            Array.Fill(entries, new SlotEntry(owner, epoch, target, move, replicas), first, count);
            next = first + count;
        }
        if (older is null && next != slots) throw reader.Wrong("does not speak of every slot");
        reader.End();
        return new(version, viewVersion, entries);
    }

    private static SiloId SiloOf(ref DocumentReader reader, SiloId[] silos)
    {
        int number = reader.Number(int.MaxValue);
        return number < silos.Length ? silos[number] : throw reader.Wrong("names a silo that is not in its table");
    }
}
