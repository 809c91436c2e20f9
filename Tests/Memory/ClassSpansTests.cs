using OrleansRedis.Engine;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests;

/// <summary>A class of spans by itself: what it holds is nobody else's, so all of it can be counted.</summary>
public sealed unsafe class ClassSpansTests
{
    public static TheoryData<int> Sizes => [8, 24, 128, 1024, 2304, 10240, 26624, SizeClasses.LargestSmall];

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Blocks_do_not_overlap_and_their_spans_are_given_up_when_they_are_empty(int size)
    {
        var spans = new ClassSpans(SizeClasses.Of(size));
        Random random = TestSeed.Random(size);
        var live = new List<nint>();
        nint* blocks = stackalloc nint[64];
        for (int step = 0; step < 3000; step++)
        {
            // It grows in the first half, and shrinks in the second.
            if (random.Next(100) < (step < 1500 ? 60 : 40))
            {
                int taken = spans.Take(blocks, random.Next(1, 65));
                for (int i = 0; i < taken; i++)
                {
                    new Span<byte>((void*)blocks[i], size).Fill((byte)(blocks[i] >> 3));
                    live.Add(blocks[i]);
                }
            }
            else if (live.Count > 0)
            {
                int count = Math.Min(live.Count, random.Next(1, 65));
                for (int i = 0; i < count; i++)
                {
                    int at = random.Next(live.Count);
                    blocks[i] = live[at];
                    (live[at], live[^1]) = (live[^1], live[at]);
                    live.RemoveAt(live.Count - 1);
                    Assert.False(new ReadOnlySpan<byte>((void*)blocks[i], size).ContainsAnyExcept((byte)(blocks[i] >> 3)));
                }
                spans.Return(blocks, count);
            }
            Assert.Equal(live.Count, spans.Live);
            Assert.True(spans.Capacity >= live.Count);
        }
        foreach (nint block in live)
        {
            nint last = block;
            spans.Return(&last, 1);
        }
        Assert.Equal(0, spans.Live);
        spans.Trim();
        Assert.Equal(0, spans.Capacity);
    }

    [Theory]
    [MemberData(nameof(Sizes))]
    public void Spans_marked_as_sparse_empty_when_what_is_in_them_is_moved_and_nothing_is_taken_from_them(int size)
    {
        var spans = new ClassSpans(SizeClasses.Of(size));
        Random random = TestSeed.Random(size);
        var live = new List<nint>();
        nint* blocks = stackalloc nint[64];
        while (live.Count < 2_000_000 / size + 64)
        {
            int taken = spans.Take(blocks, 64);
            for (int i = 0; i < taken; i++) live.Add(blocks[i]);
        }
        random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(live));
        foreach (nint block in live[(live.Count / 10)..])
        {
            nint last = block;
            spans.Return(&last, 1);
        }
        live.RemoveRange(live.Count / 10, live.Count - (live.Count / 10));
        long before = spans.Capacity * spans.Size;
        long bytes = spans.MarkSparse();
        Assert.True(bytes > before / 4, $"{bytes} of {before} bytes");
        int moved = 0;
        for (int i = 0; i < live.Count; i++)
        {
            nint block = live[i];
            if (!Granules.At(Granules.SpanOf((byte*)block)).IsLeaving) continue;
            Assert.Equal(1, spans.Take(blocks, 1));
            Assert.False(Granules.At(Granules.SpanOf((byte*)blocks[0])).IsLeaving);
            live[i] = blocks[0];
            spans.Return(&block, 1);
            moved++;
        }
        Assert.True(moved > 0);
        Assert.True(before - (spans.Capacity * spans.Size) >= bytes * 3 / 4, $"{before} became {spans.Capacity * spans.Size}, and {bytes} should have gone");

        // What was marked and not emptied serves again.
        spans.MarkSparse();
        spans.UnmarkAll();
        long capacity = spans.Capacity;
        while (spans.Live < capacity)
        {
            int taken = spans.Take(blocks, (int)Math.Min(64, capacity - spans.Live));
            for (int i = 0; i < taken; i++) live.Add(blocks[i]);
        }
        Assert.Equal(capacity, spans.Capacity);
        foreach (nint block in live)
        {
            nint last = block;
            spans.Return(&last, 1);
        }
        spans.Trim();
        Assert.Equal(0, spans.Capacity);
    }

    [Fact]
    public void A_block_that_comes_and_goes_does_not_take_a_span_each_time()
    {
        var spans = new ClassSpans(SizeClasses.Of(64));
        nint block;
        spans.Take(&block, 1);
        long capacity = spans.Capacity;
        nint first = block;
        for (int i = 0; i < 10; i++)
        {
            spans.Return(&block, 1);
            Assert.Equal(capacity, spans.Capacity);
            spans.Take(&block, 1);
            Assert.Equal(first, block);
        }
        spans.Return(&block, 1);
        spans.Trim();
    }
}
