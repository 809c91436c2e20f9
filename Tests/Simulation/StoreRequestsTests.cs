using OrleansRedis.Cluster;
using Xunit;

namespace OrleansRedis.Tests.Simulation;

/// <summary>The way from the logic to a store and back.</summary>
public sealed class StoreRequestsTests : IAsyncDisposable
{
    private readonly FaultyStore _store = new();
    private readonly List<Exception> _errors = [];
    private readonly StoreRequests _requests;

    public StoreRequestsTests() => _requests = new(_store, 100, TimeSpan.FromMinutes(1), action => action(), _errors.Add);

    public ValueTask DisposeAsync() => _store.DisposeAsync();

    [Fact]
    public async Task Documents_are_read_as_they_were_written()
    {
        ClusterView? view = null;
        SlotMap? map = null;
        await _requests.ReadViewAsync(read => view = read);
        await _requests.ReadMapAsync(read => map = read);
        Assert.Equal((0, 0, 100), (view!.Version, map!.Version, map.Count));

        var member = new Member(new(7, 1), "here");
        Assert.Equal(WriteOutcome.Stored, await WriteAsync(view.With([member])));
        Assert.Equal(WriteOutcome.Stored, await WriteAsync(map.With(1, [new(3, map[3].OwnedBy(member.Id))])));
        await _requests.ReadViewAsync(read => view = read);
        await _requests.ReadMapAsync(read => map = read);
        Assert.Equal([member], view.Members);
        Assert.Equal((1, member.Id), (map.Version, map[3].Owner));
        Assert.Equal(WriteOutcome.Refused, await WriteAsync(ClusterView.Empty.With([])));
    }

    [Fact]
    public async Task What_fails_is_reported_a_read_has_no_answer_and_a_write_is_unknown()
    {
        _store.Error = new ClusterStoreException("away");
        await _requests.ReadViewAsync(_ => Assert.Fail("There is nothing to read."));
        Assert.Equal(WriteOutcome.Unknown, await WriteAsync(ClusterView.Empty.With([])));
        Assert.Equal([_store.Error, _store.Error], _errors);
    }

    [Fact]
    public async Task A_damaged_document_is_reported_and_not_used()
    {
        await _store.TryWriteAsync(ClusterDocuments.Slots, 0, new byte[] { 1, 2, 3 }, default);
        await _requests.ReadMapAsync(_ => Assert.Fail("There is nothing to read."));
        Assert.IsType<InvalidDataException>(Assert.Single(_errors));
    }

    private async Task<WriteOutcome?> WriteAsync(ClusterView view)
    {
        WriteOutcome? result = null;
        await _requests.WriteAsync(view, outcome => result = outcome);
        return result;
    }

    private async Task<WriteOutcome?> WriteAsync(SlotMap map)
    {
        WriteOutcome? result = null;
        await _requests.WriteAsync(map, outcome => result = outcome);
        return result;
    }

    private sealed class FaultyStore : IClusterStore
    {
        private readonly MemoryClusterStore _store = new();

        public Exception? Error { get; set; }

        public string Name => "faulty";

        public Task OpenAsync(CancellationToken cancellation) => _store.OpenAsync(cancellation);

        public Task<StoredDocument> ReadAsync(string document, CancellationToken cancellation) =>
            Error is null ? _store.ReadAsync(document, cancellation) : Task.FromException<StoredDocument>(Error);

        public Task<bool> TryWriteAsync(string document, long expected, ReadOnlyMemory<byte> bytes, CancellationToken cancellation) =>
            Error is null ? _store.TryWriteAsync(document, expected, bytes, cancellation) : Task.FromException<bool>(Error);

        public ValueTask DisposeAsync() => _store.DisposeAsync();
    }
}
