using System.Collections.Immutable;
using System.Net;
using Orleans.Serialization;
using Xunit;

namespace OrleansRedis.Tests.Runtime;

/// <summary>What goes over the wire, and what is copied within a silo.</summary>
public sealed class SerializationTests
{
    public static TheoryData<object> Values => [
        true, (byte)200, (sbyte)-3, (short)-300, (ushort)60000, -5, 5u, long.MinValue, ulong.MaxValue, 'ä', 1.5f, -2.25, 3.14m, "text", "",
        Guid.Parse("11112222-3333-4444-5555-666677778888"), new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc), new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.FromHours(2)),
        TimeSpan.FromTicks(12345), DayOfWeek.Friday, new byte[] { 1, 2, 3 }, new[] { "a", null }, new List<int> { 1, 2 }, new HashSet<string> { "x" },
        new Dictionary<string, List<long>> { ["k"] = [1, 2] }, (1, "two", 3.0), Tuple.Create(1, "two"), new int?[] { 1, null }, ImmutableArray.Create(1, 2),
        SiloAddress.New(IPAddress.Loopback, 1, 2), GrainId.Create("type", "key"), new Point(1, -2), new Named("n", [1]) { Extra = "e" }, new Derived { Base = 1, Own = 2 },
    ];

    [Theory]
    [MemberData(nameof(Values))]
    public void A_value_comes_out_as_it_went_in(object value)
    {
        Assert.Equal(value, RoundTrip(value));
        Assert.Equal(value, CodecProvider.Get<object>().Copy(value));
    }

    [Fact]
    public void Memory_comes_out_as_it_went_in()
    {
        Assert.Equal([1, 2], RoundTrip(new ReadOnlyMemory<byte>([1, 2])).ToArray());
        Assert.Equal([1, 2], RoundTrip(new Memory<byte>([1, 2])).ToArray());
    }

    [Fact]
    public void A_reader_of_an_older_version_skips_what_it_does_not_know()
    {
        var writer = new WireWriter();
        CodecProvider.Get<NewVersion>().Write(writer, new NewVersion { Kept = "kept", Added = [1, 2, 3], Last = 7 });
        OldVersion old = CodecProvider.Get<OldVersion>().Read(new WireReader(writer.Written.ToArray(), null));
        Assert.Equal(("kept", 7), (old.Kept, old.Last));
    }

    [Fact]
    public void A_type_without_a_codec_is_named()
    {
        CodecNotFoundException exception = Assert.Throws<CodecNotFoundException>(() => RoundTrip<object>(new Unmarked()));
        Assert.Contains(nameof(Unmarked), exception.Message);
    }

    [Fact]
    public void A_copy_shares_nothing_that_can_change_and_all_that_cannot()
    {
        var parcel = new Parcel { Name = "p", Weights = [1] };
        Parcel copy = CodecProvider.Get<Parcel>().Copy(parcel);
        copy.Weights.Add(2);
        Assert.Equal([1], parcel.Weights);
        var named = new Frozen([1]);
        Assert.Same(named, CodecProvider.Get<Frozen>().Copy(named));
    }

    [Fact]
    public void An_exception_keeps_its_type_its_message_its_members_and_what_caused_it()
    {
        Exception thrown = Caught(() => throw new BrokenException("msg", new ArgumentException("inner")) { Code = 7 });
        var read = Assert.IsType<BrokenException>(RoundTrip<Exception>(thrown));
        Assert.Equal(("msg", 7, "inner"), (read.Message, read.Code, read.InnerException!.Message));
        Assert.Contains(nameof(Caught), read.StackTrace!);
    }

    [Fact]
    public void An_exception_of_an_unknown_type_says_which_it_was()
    {
        var writer = new WireWriter();
        CodecProvider.Get<Exception>().Write(writer, new BrokenException("msg", null));
        byte[] bytes = writer.Written.ToArray();
        bytes.AsSpan()[..20].Replace((byte)'B', (byte)'Q');
        int at = bytes.AsSpan().IndexOf("BrokenException"u8);
        bytes[at] = (byte)'Q';
        var read = Assert.IsType<UnavailableExceptionFallbackException>(CodecProvider.Get<Exception>().Read(new WireReader(bytes, null)));
        Assert.Equal("msg", read.Message);
        Assert.Contains("QrokenException", read.ExceptionType);
    }

    [Fact]
    public void A_cut_off_value_is_an_error_and_not_a_huge_allocation()
    {
        var writer = new WireWriter();
        CodecProvider.Get<object>().Write(writer, new Parcel { Name = "name", Weights = [1, 2, 3] });
        for (int length = 0; length < writer.Length; length++)
        {
            byte[] cut = writer.Written[..length].ToArray();
            Assert.ThrowsAny<Exception>(() => CodecProvider.Get<object>().Read(new WireReader(cut, null)));
        }
    }

    private static T RoundTrip<T>(T value)
    {
        var writer = new WireWriter();
        CodecProvider.Get<T>().Write(writer, value);
        var reader = new WireReader(writer.Written.ToArray(), null);
        T read = CodecProvider.Get<T>().Read(reader);
        Assert.True(reader.AtEnd);
        return read;
    }

    private static Exception Caught(Action action)
    {
        try
        {
            action();
        }
        catch (Exception exception)
        {
            return exception;
        }

        throw new InvalidOperationException("Nothing was thrown");
    }

    private sealed class Unmarked;

    [GenerateSerializer]
    public readonly record struct Point([property: Id(0)] int X, [property: Id(1)] int Y);

    [GenerateSerializer]
    public sealed record Named(string Name, [property: Id(5)] ImmutableArray<int> Numbers)
    {
        [Id(0)]
        public string? Extra { get; init; }

        public bool Equals(Named? other) => other is not null && Name == other.Name && Extra == other.Extra && Numbers.SequenceEqual(other.Numbers);

        public override int GetHashCode() => Name.GetHashCode(StringComparison.Ordinal);
    }

    [GenerateSerializer]
    public record Basis
    {
        [Id(0)]
        public int Base { get; init; }
    }

    [GenerateSerializer]
    public sealed record Derived : Basis
    {
        [Id(0)]
        public int Own { get; init; }
    }

    [GenerateSerializer, Immutable]
    public sealed class Frozen(List<int> items)
    {
        [Id(0)]
        public List<int> Items { get; } = items;
    }

    [GenerateSerializer]
    public sealed class OldVersion
    {
        [Id(0)]
        public string? Kept { get; set; }

        [Id(9)]
        public int Last { get; set; }
    }

    [GenerateSerializer]
    public sealed class NewVersion
    {
        [Id(0)]
        public string? Kept { get; set; }

        [Id(4)]
        public List<int>? Added { get; set; }

        [Id(9)]
        public int Last { get; set; }
    }

    [GenerateSerializer]
    public sealed class BrokenException(string message, Exception? inner) : Exception(message, inner)
    {
        [Id(0)]
        public int Code { get; set; }
    }
}
