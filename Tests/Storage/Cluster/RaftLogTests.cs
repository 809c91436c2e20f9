using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansRedis.Grains.ClusterStores.Raft;
using OrleansRedis.Tests.Harness;
using Xunit;

namespace OrleansRedis.Tests.Storage;

/// <summary>What a follower's log owes its leader.</summary>
public sealed class RaftLogTests : IAsyncLifetime
{
    private readonly string _directory = Directory.CreateTempSubdirectory("orleansredis-raftlog-").FullName;
    private RaftLog _log = null!;

    private IAuditTrail<IRaftLogEntry> Log => _log;

    public Task InitializeAsync()
    {
        _log = Open("log");
        return _log.InitializeAsync();
    }

    public async Task DisposeAsync()
    {
        await _log.DisposeAsync();
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public async Task What_it_has_taken_is_there_after_a_kill_at_that_moment()
    {
        for (int first = 1; first < 40; first += 2)
        {
            await Log.AppendAsync(Entries(1, 1), first);
            // What the disk has now is what another process would find.
            string copy = $"copy{first}";
            Copy("log", copy);
            await using RaftLog found = Open(copy);
            await found.InitializeAsync();
            Assert.Equal(first + 1, found.LastEntryIndex);
        }
    }

    [Fact]
    public async Task What_is_sent_again_or_late_takes_nothing_away()
    {
        await Log.AppendAsync(Entries(1, 1, 1, 2, 2), 1);
        await Log.AppendAsync(Entries(1, 1), 2);
        Assert.Equal(5, _log.LastEntryIndex);
        await Log.AppendAsync(Entries(2, 2, 2), 4);
        Assert.Equal(6, _log.LastEntryIndex);
        Assert.Equal("1 1 1 2 2 2", await TermsAsync());
    }

    [Fact]
    public async Task What_differs_is_replaced_with_all_that_follows()
    {
        await Log.AppendAsync(Entries(1, 1, 1, 1, 1), 1);
        await Log.AppendAsync(Entries(1, 3), 2);
        Assert.Equal("1 1 3", await TermsAsync());
        Copy("log", "copy");
        await using RaftLog found = Open("copy");
        await found.InitializeAsync();
        Assert.Equal(3, found.LastEntryIndex);
    }

    [Fact]
    public async Task What_is_committed_is_passed_over()
    {
        await Log.AppendAsync(Entries(1, 1, 1), 1);
        await _log.CommitAsync(2);
        await Log.AppendAsync(Entries(1, 1, 1, 2), 1, skipCommitted: true);
        Assert.Equal("1 1 1 2", await TermsAsync());
    }

    private static LogEntryProducer<BinaryLogEntry> Entries(params int[] terms) =>
        new([.. terms.Select(term => new BinaryLogEntry
        {
            Term = term,
            Content = new RaftCommand(RaftCommandKind.Write, Guid.NewGuid(), "a", 0, TestSeed.Bytes(100)).Encode(),
        })]);

    private async Task<string> TermsAsync()
    {
        using WriteAheadLog.LogEntryReader entries = await _log.ReadAsync(1, _log.LastEntryIndex);
        return string.Join(' ', entries.Select(entry => entry.Term));
    }

    private RaftLog Open(string name)
    {
        string directory = Path.Combine(_directory, name);
        Directory.CreateDirectory(directory);
        return new(new() { Location = directory }, new RaftStateMachine(directory, NullLogger.Instance));
    }

    private void Copy(string from, string to)
    {
        foreach (string file in Directory.EnumerateFiles(Path.Combine(_directory, from), "*", SearchOption.AllDirectories))
        {
            string target = Path.Combine(_directory, to, Path.GetRelativePath(Path.Combine(_directory, from), file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            using var source = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            using FileStream destination = File.Create(target);
            source.CopyTo(destination);
        }
    }
}
