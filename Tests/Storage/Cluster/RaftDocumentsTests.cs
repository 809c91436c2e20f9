using OrleansRedis.Grains.ClusterStores.Raft;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>What the log of the cluster's store makes of its documents.</summary>
public sealed class RaftDocumentsTests
{
    [Fact]
    public void A_document_is_written_when_its_version_is_the_expected_one()
    {
        RaftDocuments documents = RaftDocuments.Empty;
        documents = Apply(documents, Guid.NewGuid(), "a", 0, "one", RaftOutcome.Written, 1);
        documents = Apply(documents, Guid.NewGuid(), "a", 0, "two", RaftOutcome.Changed, 1);
        documents = Apply(documents, Guid.NewGuid(), "b", 0, "three", RaftOutcome.Written, 1);
        documents = Apply(documents, Guid.NewGuid(), "a", 1, "four", RaftOutcome.Written, 2);
        Assert.Equal("four"u8, documents["a"].Bytes.Span);
        Assert.Equal("three"u8, documents["b"].Bytes.Span);
        Assert.Equal(0, documents["c"].Version);
    }

    [Fact]
    public void A_command_that_is_in_the_log_twice_takes_effect_once_and_is_answered_alike()
    {
        Guid id = Guid.NewGuid();
        RaftDocuments documents = Apply(RaftDocuments.Empty, id, "a", 0, "one", RaftOutcome.Written, 1);
        documents = Apply(documents, id, "a", 0, "one", RaftOutcome.Written, 1);
        documents = Apply(documents, Guid.NewGuid(), "a", 1, "two", RaftOutcome.Written, 2);
        documents = Apply(documents, id, "a", 0, "one", RaftOutcome.Written, 2);
        Assert.Equal("two"u8, documents["a"].Bytes.Span);
        Assert.Equal(2, documents["a"].Version);
    }

    [Fact]
    public void Of_what_is_long_ago_nobody_says_that_it_was_not_written()
    {
        Guid id = Guid.NewGuid();
        RaftDocuments documents = Apply(RaftDocuments.Empty, id, "a", 0, "", RaftOutcome.Written, 1);
        for (int i = 1; i < RaftDocuments.RememberedWriters; i++)
            documents = Apply(documents, Guid.NewGuid(), "a", i, "", RaftOutcome.Written, i + 1);
        documents = Apply(documents, id, "a", 0, "", RaftOutcome.Written, RaftDocuments.RememberedWriters);
        documents = Apply(documents, Guid.NewGuid(), "a", 0, "", RaftOutcome.Changed, RaftDocuments.RememberedWriters);

        documents = Apply(documents, Guid.NewGuid(), "a", RaftDocuments.RememberedWriters, "", RaftOutcome.Written, RaftDocuments.RememberedWriters + 1);
        Apply(documents, id, "a", 0, "", RaftOutcome.Forgotten, RaftDocuments.RememberedWriters + 1);
    }

    [Fact]
    public void The_first_identity_stays()
    {
        Guid first = Guid.NewGuid();
        RaftDocuments documents = RaftDocuments.Empty.Apply(new(RaftCommandKind.Found, first, "", 0, default), out _);
        documents = documents.Apply(new(RaftCommandKind.Found, Guid.NewGuid(), "", 0, default), out _);
        Assert.Equal(first, documents.ClusterId);
    }

    [Fact]
    public void A_snapshot_holds_everything_and_one_that_is_cut_off_or_changed_is_refused()
    {
        Random random = TestSeed.Random();
        RaftDocuments documents = RaftDocuments.Empty.Apply(new(RaftCommandKind.Found, Guid.NewGuid(), "", 0, default), out _);
        Guid last = Guid.NewGuid();
        for (int i = 0; i < 200; i++)
        {
            string name = $"document {random.Next(5)} é";
            byte[] bytes = new byte[random.Next(100)];
            random.NextBytes(bytes);
            documents = documents.Apply(new(RaftCommandKind.Write, last = Guid.NewGuid(), name, documents[name].Version, bytes), out _);
        }

        byte[] saved = documents.Save(12, 3);
        RaftDocuments loaded = RaftDocuments.Load(saved, out long index, out long term);
        Assert.Equal((12, 3), (index, term));
        Assert.Equal(saved, loaded.Save(12, 3));
        Assert.Equal(documents.ClusterId, loaded.ClusterId);
        foreach (string name in documents.Names)
        {
            Assert.True(documents[name].Bytes.Span.SequenceEqual(loaded[name].Bytes.Span));
            Assert.Equal(documents[name].Version, loaded[name].Version);
            Assert.Equal(documents[name].Writers, loaded[name].Writers);
        }

        Assert.Throws<InvalidDataException>(() => RaftDocuments.Load(saved[..random.Next(saved.Length)], out _, out _));
        saved[random.Next(saved.Length)] ^= 1;
        Assert.Throws<InvalidDataException>(() => RaftDocuments.Load(saved, out _, out _));
    }

    [Fact]
    public void A_command_survives_the_log_and_a_damaged_one_is_named()
    {
        var command = new RaftCommand(RaftCommandKind.Write, Guid.NewGuid(), "näme", 5, new byte[] { 1, 2, 3 });
        byte[] encoded = command.Encode();
        RaftCommand decoded = RaftCommand.Decode(encoded);
        Assert.Equal((command.Kind, command.Id, command.Name, command.ExpectedVersion), (decoded.Kind, decoded.Id, decoded.Name, decoded.ExpectedVersion));
        Assert.Equal(command.Bytes.ToArray(), decoded.Bytes.ToArray());
        Assert.Throws<InvalidDataException>(() => RaftCommand.Decode(encoded.AsMemory(..10)));
        encoded[28] = 0x7f; // the length of the name
        Assert.Throws<InvalidDataException>(() => RaftCommand.Decode(encoded));
    }

    private static RaftDocuments Apply(
        RaftDocuments documents, Guid id, string name, long expected, string bytes, RaftOutcome outcome, long version)
    {
        RaftDocuments next = documents.Apply(
            new(RaftCommandKind.Write, id, name, expected, System.Text.Encoding.UTF8.GetBytes(bytes)), out RaftOutcome actual);
        Assert.Equal((outcome, version), (actual, next[name].Version));
        return next;
    }
}
