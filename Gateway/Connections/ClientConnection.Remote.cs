using System.Collections.Immutable;
using OrleansRedis.Cluster;
using OrleansRedis.Engine;

namespace OrleansRedis.Gateway;

/// <summary>
/// Commands whose keys are on other silos. While the input is run, those that name the keys of one slot are gathered for
/// each silo; at its end they are sent, and the client waits for the answers as it does for any command that waits.
/// Meanwhile commands on slots of this silo run, and their replies take their places after those that are missing. All
/// other commands wait until none is missing.
/// </summary>
public sealed partial class ClientConnection
{
    /// <summary>In place of a wait: nothing is to follow the answers but the rest of the input.</summary>
    private static readonly Func<Task> s_nothing = () => Task.CompletedTask;

    private RemotePipeline? _remote;    // what is under way to other silos; null if there is nothing
    private RemotePipeline? _spare;
    private Func<Task>? _afterRemote;   // a wait that begins when that is over

    /// <inheritdoc/>
    public override bool GoesElsewhere => _server.Remote is not null;

    /// <inheritdoc/>
    public override bool IsOneOfMany => _server.Remote is { HasOthers: true };

    /// <summary>At which other silos it watches how many keys, and over which connection to them that was said.</summary>
    internal ImmutableDictionary<SiloId, (int Connection, int Keys)> WatchesAt { get; set; } = ImmutableDictionary<SiloId, (int, int)>.Empty;

    /// <inheritdoc/>
    public override bool WatchesElsewhere => !WatchesAt.IsEmpty;

    /// <summary>Part of its command is about to be run in another session; see <see cref="BeforeAttempt"/>.</summary>
    internal void OnPart(CommandInfo command) => BeforeAttempt(command);

    /// <summary>What other silos must know of the client.</summary>
    internal ClientIdentity Identity
    {
        get
        {
            TrackingModes? modes = null;
            bool isTold = false;
            if (Tracking is { IsOn: true } tracking)
            {
                // What CLIENT CACHING has said comes to the same in either mode.
                isTold = tracking.HasCachingWord == ((tracking.Modes & TrackingModes.OptIn) != 0) && ChoosesWhatItTracks;
                modes = (tracking.Modes & TrackingModes.NoLoop) | (ChoosesWhatItTracks ? TrackingModes.OptIn : TrackingModes.Default);
            }
            return new(
                Database, Protocol == 3, NoTouch, IsUnrestricted, modes, isTold, User.Name, Name, _address ??= Address, _monitorName ??= MonitorName);
        }
    }

    private bool ChoosesWhatItTracks => Tracking is { IsOn: true } tracking && (tracking.Modes & (TrackingModes.OptIn | TrackingModes.OptOut)) != 0;

    private string? _address, _monitorName;

    /// <summary>
    /// Has a request whose slot is not here brought to the slot's owner with others. False if it has to go there alone, or
    /// if nobody owns the slot.
    /// </summary>
    private bool TryPassOn(CommandInfo command, in Request request, int slot)
    {
        if (_server.Remote is not { } remote || !command.IsConfined || ChoosesWhatItTracks) return false;
        if (command.SingleKey == 0 && command.SlotOf(request) != slot) return false;
        SiloId owner = remote.OwnerOf(slot);
        if (owner.IsNone || owner == remote.Self) return false;
        _remote ??= _spare ?? new();
        _spare = null;
        PassOn(_remote.BatchTo(owner, remote, this), command, request, slot);
        return true;
    }

    /// <summary>
    /// Runs a request while others are under way to other silos. False if it has to wait until they are answered; then
    /// nothing has happened.
    /// </summary>
    private bool TryRunBeside(
        RemotePipeline remote, ref CommandContext call, CommandInfo? command, CommandStatistics.Stripe statistics, ref long ticks, ref Func<Task>? wait)
    {
        if (command is not { IsConfined: true } || !remote.HasRoom || _reply.Length > ChunkBytes) return false;
        int slot = call.SlotHint >= 0 ? call.SlotHint : command.SlotOf(call.Request);
        if (slot < 0) return false;
        if (remote.WayOf(slot) is not { } way)
        {
            // If the slot is not here, this is where it is gathered, too.
            Run(ref call, command, statistics, ref ticks, ref wait);
            return true;
        }
        LastCommand = command;
        if (_server.Runner.Admission.IsOpenTo(command, call, this) || Admit(command, call.Request, ref wait)) PassOn(way, command, call.Request, slot);
        return true;
    }

    private void PassOn(RemoteBatch way, CommandInfo command, in Request request, int slot)
    {
        bool isSilent = ReplyMode != ReplyMode.On;
        if (isSilent) AfterReply(_reply.Length);
        _remote!.Add(way, command, request, slot, _reply.Length, isSilent);
    }

    /// <summary>The wait of a command at another silo; null while there is none.</summary>
    internal RemoteWait? RemoteWait { get; private set; }

    /// <inheritdoc/>
    public override long WaitedMs => RemoteWait?.WaitedMs ?? 0;

    private async Task<Verdict> RunElsewhereAsync(CommandInfo command, OwnedRequest request)
    {
        if (!command.Is(CommandFlags.Blocking))
        {
            Verdict verdict = await _server.Remote!.RunAsync(this, command, request, _reply).ConfigureAwait(false);
            if (Tracking is not null) Tracking.HasCachingWord = false; // it was for this command
            return verdict;
        }
        var wait = new RemoteWait(_server.Remote!, Id);
        RemoteWait = wait;
        try
        {
            using (Disconnected.UnsafeRegister(static wait => ((RemoteWait)wait!).Leave(), wait))
                return await _server.Remote!.RunAsync(this, command, request, _reply).ConfigureAwait(false);
        }
        finally
        {
            RemoteWait = null;
        }
    }

    /// <summary>Sends what was gathered. The wait for the answers comes before another one that has been arranged.</summary>
    private Func<Task> SendRemote(RemotePipeline pipeline, Func<Task>? then)
    {
        _remote = null;
        _afterRemote = then == s_nothing ? null : then;
        pipeline.SetAside(_reply, _since);
        foreach (RemoteBatch batch in pipeline.Batches) _server.Remote!.Send(batch);
        return () => AwaitRemoteAsync(pipeline);
    }

    /// <summary>The wait that was arranged to follow the one that is over.</summary>
    private Func<Task>? TakeFollowing()
    {
        Func<Task>? following = _afterRemote;
        _afterRemote = null;
        return following;
    }

    private async Task AwaitRemoteAsync(RemotePipeline pipeline)
    {
        foreach (RemoteBatch batch in pipeline.Batches) await batch.Answered.ConfigureAwait(false);
        foreach (RemotePipeline.Hole hole in pipeline.Holes)
        {
            if (hole.Status == RemoteStatus.Done) continue;
            await _server.Remote!.SettleAsync(this, pipeline).ConfigureAwait(false);
            break;
        }
        if (pipeline.Since >= 0 && (_since < 0 || pipeline.Since < _since))
        {
            _since = pipeline.Since;
            _hasWrites = true; // of what was set aside it is not known
        }
        FillHoles(pipeline);
        pipeline.Clear();
        _spare = pipeline;
    }

    private void FillHoles(RemotePipeline pipeline)
    {
        ReadOnlySpan<byte> aside = pipeline.Aside;
        int first = pipeline.Holes[0].At, from = 0;
        foreach (RemotePipeline.Hole hole in pipeline.Holes)
        {
            _reply.Raw(aside[from..(hole.At - first)]);
            from = hole.At - first;
            if (hole.Status != RemoteStatus.Done)
            {
                // Whether it has happened will not be known. There is no reply that would say so, and what follows must not
                // be taken for it.
                CloseAfterReply = true;
                return;
            }
            CommandsRun++;
            if (!hole.IsSilent) _reply.Raw(hole.Batch.ReplyOf(hole.Index));
        }
        _reply.Raw(aside[from..]);
    }
}
