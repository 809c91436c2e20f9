using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>What every store of single slots guarantees, however it is implemented.</summary>
public abstract class SlotStorageContract
{
    /// <summary>Opens a connection to the store of this test; each call opens another.</summary>
    protected abstract Task<ISlotStorage> OpenAsync();

    [SkippableFact]
    public async Task Each_claim_grants_a_higher_epoch()
    {
        await using ISlotStorage storage = await OpenAsync();
        Assert.Equal<SlotClaim>([new(5, 1), new(3, 1)], await storage.ClaimAsync([5, 3], default));
        Assert.Equal<SlotClaim>([new(3, 2)], await storage.ClaimAsync([3], default));
        await using ISlotStorage other = await OpenAsync();
        Assert.Equal<SlotClaim>([new(3, 3), new(5, 2), new(16383, 1)], await other.ClaimAsync([3, 5, 16383], default));
    }

    [SkippableFact]
    public async Task What_is_appended_is_read_by_the_next_claimant_in_order()
    {
        await using ISlotStorage storage = await OpenAsync();
        await storage.ClaimAsync([7, 8, 9], default);
        await storage.AppendAsync([Record(7, 1, 1, 2, "a"), Record(9, 1, 1, 1, "x")], default);
        await storage.AppendAsync([Record(7, 1, 3, 12, "b")], default);
        await storage.ClaimAsync([7], default);
        await storage.AppendAsync([Record(7, 2, 1, 1, "c"), Record(9, 1, 2, 2, "y")], default);
        Assert.Equal(["7 1/2 1 a", "7 1/12 3 b", "7 2/1 1 c", "9 1/1 1 x", "9 1/2 2 y"], await ReadAsync(storage, 9, 8, 7));
    }

    [SkippableFact]
    public async Task A_stale_epoch_is_refused_by_slot_and_nothing_of_the_append_is_stored()
    {
        await using ISlotStorage zombie = await OpenAsync();
        await zombie.ClaimAsync([1, 2, 3, 4], default);
        await using ISlotStorage owner = await OpenAsync();
        await owner.ClaimAsync([2, 4], default);
        StaleEpochException refused = await Assert.ThrowsAsync<StaleEpochException>(
            () => zombie.AppendAsync([Record(1, 1, 1, 1, "a"), Record(4, 1, 1, 1, "b"), Record(3, 1, 1, 1, "c"), Record(2, 1, 1, 1, "d")], default));
        Assert.Equal([2, 4], refused.Slots);
        Assert.Equal([2],
            (await Assert.ThrowsAsync<StaleEpochException>(() => zombie.ReplaceAsync([Snapshot(2, 1, 1, "s"), Snapshot(3, 1, 1, "s")], default))).Slots);
        Assert.Equal([4], (await Assert.ThrowsAsync<StaleEpochException>(() => zombie.TrimAsync([new(new(4, 1), new(1, 1))], default))).Slots);
        await Assert.ThrowsAsync<StaleEpochException>(async () => await owner.ReadAsync([new(2, 1)], default).ToListAsync());
        await Assert.ThrowsAsync<StaleEpochException>(() => owner.AppendAsync([Record(2, 3, 1, 1, "from the future")], default));
        await Assert.ThrowsAsync<StaleEpochException>(() => owner.AppendAsync([Record(77, 1, 1, 1, "never claimed")], default));
        Assert.Empty(await ReadAsync(owner, 1, 2, 3, 4));
    }

    [SkippableFact]
    public async Task An_append_that_is_repeated_is_stored_once()
    {
        await using ISlotStorage storage = await OpenAsync();
        await storage.ClaimAsync([1, 2], default);
        SlotRecord[] records = [Record(1, 1, 1, 3, "a"), Record(2, 1, 1, 1, "b")];
        for (int i = 0; i < 3; i++) await storage.AppendAsync(records, default);
        Assert.Equal(["1 1/3 1 a", "2 1/1 1 b"], await ReadAsync(storage, 1, 2));
    }

    [SkippableFact]
    public async Task A_snapshot_hides_the_log_up_to_its_position_and_trimming_drops_that()
    {
        await using ISlotStorage storage = await OpenAsync();
        await storage.ClaimAsync([1, 2], default);
        for (int i = 1; i <= 5; i++) await storage.AppendAsync([Record(1, 1, i, i, $"e{i}")], default);
        await storage.ReplaceAsync([Snapshot(1, 1, 3, "one", "two"), Snapshot(2, 1, 0, "other")], default);
        string[] expected = ["1 1/3 snapshot one", "1 1/3 snapshot two", "2 1/0 snapshot other", "1 1/4 4 e4", "1 1/5 5 e5"];
        Assert.Equal(expected, await ReadAsync(storage, new SlotClaim(1, 1), new SlotClaim(2, 1)));
        for (int i = 0; i < 2; i++)
        {
            // Nothing beyond the snapshot is dropped, whatever the caller says.
            await storage.TrimAsync([new(new(1, 1), new(1, 5)), new(new(2, 1), new(1, 9))], default);
            Assert.Equal(expected, await ReadAsync(storage, new SlotClaim(1, 1), new SlotClaim(2, 1)));
        }
        // The start of the next epoch comes after everything of the previous one.
        await storage.ClaimAsync([1], default);
        await storage.ReplaceAsync([Snapshot(1, 2, 0, "three")], default);
        Assert.Equal(["1 2/0 snapshot three"], await ReadAsync(storage, new SlotClaim(1, 2)));
    }

    [SkippableFact]
    public async Task A_snapshot_that_does_not_reach_further_changes_nothing()
    {
        await using ISlotStorage storage = await OpenAsync();
        await storage.ClaimAsync([1], default);
        await storage.ReplaceAsync([Snapshot(1, 1, 7, "first", "in two pieces")], default);
        await storage.ReplaceAsync([Snapshot(1, 1, 7, "the same again")], default);
        await storage.ReplaceAsync([Snapshot(1, 1, 6, "older")], default);
        Assert.Equal(["1 1/7 snapshot first", "1 1/7 snapshot in two pieces"], await ReadAsync(storage, 1));
    }

    [SkippableFact]
    public async Task An_empty_snapshot_is_one()
    {
        await using ISlotStorage storage = await OpenAsync();
        await storage.ClaimAsync([1], default);
        await storage.AppendAsync([Record(1, 1, 1, 1, "a")], default);
        await storage.ReplaceAsync([Snapshot(1, 1, 1)], default);
        await storage.TrimAsync([new(new(1, 1), new(1, 1))], default);
        Assert.Empty(await ReadAsync(storage, 1));
    }

    [SkippableFact]
    public async Task Large_records_and_pieces_come_back_whole()
    {
        await using ISlotStorage storage = await OpenAsync();
        await storage.ClaimAsync([1, 2], default);
        byte[] large = new byte[20_000_000], larger = new byte[37_000_001];
        TestSeed.Random(1).NextBytes(large);
        TestSeed.Random(2).NextBytes(larger);
        await storage.AppendAsync([new(1, 1, 1, 1, large), Record(2, 1, 1, 1, "small"), new(1, 1, 2, 2, larger)], default);
        await storage.ReplaceAsync([new(new(2, 1), new(1, 1), Pieces(larger, [1, 2], large))], default);
        List<StoredPiece> pieces = await storage.ReadAsync([new(1, 1), new(2, 1)], default).ToListAsync();
        Assert.Equal([larger.Length, 2, large.Length, large.Length, larger.Length], pieces.Select(piece => piece.Bytes.Length));
        Assert.True(pieces[0].Bytes.Span.SequenceEqual(larger) && pieces[2].Bytes.Span.SequenceEqual(large));
        Assert.True(pieces[3].Bytes.Span.SequenceEqual(large) && pieces[4].Bytes.Span.SequenceEqual(larger));
    }

    [SkippableFact]
    public async Task Nobody_appends_behind_the_back_of_who_claims()
    {
        const int Slots = 8, Rounds = 12;
        int[] all = [.. Enumerable.Range(100, Slots)];
        await using ISlotStorage first = await OpenAsync();
        await using ISlotStorage second = await OpenAsync();
        await first.ClaimAsync(all, default);
        // Each of the two claims everything, reads it, and appends units over two slots until it is refused. What each
        // finds must include what the other had been told was stored, and both halves of every unit or neither.
        int acknowledged = 0, claims = 0;
        await Task.WhenAll(ContendAsync(first), ContendAsync(second));
        List<string> end = await ReadAsync(first, all);
        Assert.True(end.Count >= acknowledged * 2);

        async Task ContendAsync(ISlotStorage storage)
        {
            await Task.Yield();
            while (Interlocked.Increment(ref claims) <= Rounds)
            {
                int before = Volatile.Read(ref acknowledged);
                IReadOnlyList<SlotClaim> mine = await storage.ClaimAsync(all, default);
                try
                {
                    List<StoredPiece> found = await storage.ReadAsync(mine, default).ToListAsync();
                    ILookup<string, StoredPiece> units = found.ToLookup(piece => Encoding.ASCII.GetString(piece.Bytes.Span));
                    Assert.All(units, unit => Assert.Equal(2, unit.Count()));
                    Assert.True(units.Count >= before);
                    for (int i = 1; i <= 200; i++)
                    {
                        int a = i % Slots, b = (i + 3) % Slots;
                        string unit = $"{mine[0].Epoch}:{i}";
                        await storage.AppendAsync([Record(all[a], mine[a].Epoch, i, i, unit), Record(all[b], mine[b].Epoch, i, i, unit)], default);
                        Interlocked.Increment(ref acknowledged);
                    }
                }
                catch (StaleEpochException)
                {
                    // The other one has the slots now.
                }
            }
        }
    }

    protected static SlotRecord Record(int slot, long epoch, long first, long last, string text) => new(slot, epoch, first, last, Encoding.UTF8.GetBytes(text));

    protected static SlotSnapshot Snapshot(int slot, long epoch, long sequence, params string[] pieces) =>
        new(new(slot, epoch), new(epoch, sequence), Pieces([.. pieces.Select(Encoding.UTF8.GetBytes)]));

    /// <summary>Claims slots, and shows what is stored for them.</summary>
    protected static async Task<List<string>> ReadAsync(ISlotStorage storage, params int[] slots) =>
        await ReadAsync(storage, [.. await storage.ClaimAsync(slots, default)]);

    protected static async Task<List<string>> ReadAsync(ISlotStorage storage, params SlotClaim[] claims) =>
        await storage.ReadAsync(claims, default).Select(Show).ToListAsync();

    private static string Show(StoredPiece piece) =>
        $"{piece.Slot} {piece.UpTo} {(piece.Kind == StoredKind.Snapshot ? "snapshot" : piece.First)} {Encoding.UTF8.GetString(piece.Bytes.Span)}";

    private static IAsyncEnumerable<ReadOnlyMemory<byte>> Pieces(params byte[][] pieces) =>
        pieces.Select(piece => (ReadOnlyMemory<byte>)piece).ToAsyncEnumerable();
}
