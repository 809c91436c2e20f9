using System.Diagnostics;
using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Sees every command that is run or refused on this silo, whether it came from a client, from EXEC's queue, from a
/// script or from a grain call. It counts them, and notes those that take long.
/// </summary>
public sealed class CommandObserver : IDisposable
{
    private readonly ServerOptions _options;
    private readonly Clock _clock;
    private readonly LatencyMonitor _latency;

    public CommandObserver(Store store)
    {
        _options = store.Options;
        _clock = store.Clock;
        _latency = store.Latency;
        Statistics = new(store.Commands);
        SlowLog = new(store.Options);
    }

    /// <summary>Calls, failures and refusals by command.</summary>
    public CommandStatistics Statistics { get; }

    /// <summary>The error replies, by code.</summary>
    public ErrorStatistics Errors { get; } = new();

    /// <summary>SLOWLOG</summary>
    public SlowLog SlowLog { get; }

    /// <summary>
    /// A command has run. Passing the caller's own stripe of <see cref="Statistics"/> saves looking up the thread's.
    /// </summary>
    /// <param name="mine">The calling thread's stripe.</param>
    /// <param name="call">What has run: its session, command and request.</param>
    /// <param name="ticks">How many <see cref="System.Diagnostics.Stopwatch"/> ticks it ran for.</param>
    /// <param name="reply">Its reply; empty so far, if it waits.</param>
    /// <param name="isOver">False if it waits, so that <see cref="Continued"/> follows.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Ran(CommandStatistics.Stripe mine, in CommandContext call, long ticks, ReadOnlySpan<byte> reply, bool isOver)
    {
        bool failed = IsError(reply);
        mine.CountCall(call.Command, ticks, failed);
        if (failed) Errors.Count(reply);
        if (!isOver) return;
        if (_options.LatencyTracking) mine.Record(call.Command, ticks);
        if (ticks >= _options.SlowTicks) Slow(call.Session, call.Command, call.Request, ticks);
    }

    /// <inheritdoc cref="Ran(CommandStatistics.Stripe, in CommandContext, long, ReadOnlySpan{byte}, bool)"/>
    public void Ran(in CommandContext call, long ticks, ReadOnlySpan<byte> reply, bool isOver = true) =>
        Ran(Statistics.Mine, call, ticks, reply, isOver);

    /// <summary>A script has run a command.</summary>
    public void RanInScript(Session session, CommandInfo command, in Request request, long ticks, ReadOnlySpan<byte> reply)
    {
        bool failed = IsError(reply);
        Statistics.Mine.CountCall(command, ticks, failed);
        if (failed) Errors.Count(reply);
        if (_options.LatencyTracking) Statistics.Mine.Record(command, ticks);
        if (ticks >= _options.SlowTicks) Slow(session, command, request, ticks);
    }

    /// <summary>
    /// A command that had been waiting since <see cref="Ran(in CommandContext, long, ReadOnlySpan{byte}, bool)"/> has
    /// replied.
    /// </summary>
    /// <param name="session">The session that wanted it run.</param>
    /// <param name="waiting">The command, and for how long it had run before.</param>
    /// <param name="moreTicks">For how long it has run since; merely waiting for a key does not count.</param>
    /// <param name="reply">Its reply.</param>
    public void Continued(Session session, in WaitingCall waiting, long moreTicks, ReadOnlySpan<byte> reply)
    {
        CommandStatistics.Stripe mine = Statistics.Mine;
        mine.CountMore(waiting.Command, moreTicks);
        long ticks = waiting.Ticks + moreTicks;
        if (_options.LatencyTracking) mine.Record(waiting.Command, ticks);
        if (ticks >= _options.SlowTicks) Slow(session, waiting.Command, waiting.Request.Request, ticks);
        if (!IsError(reply)) return;
        mine.CountFailure(waiting.Command);
        Errors.Count(reply);
    }

    /// <summary>A command was refused with this error before it ran; null if there is no such command.</summary>
    public void Refused(CommandInfo? command, ReadOnlySpan<byte> reply)
    {
        if (command is not null) Statistics.Mine.CountRejected(command);
        Errors.Count(reply);
    }

    /// <summary>CONFIG RESETSTAT</summary>
    public void Reset()
    {
        Statistics.Reset();
        Errors.Reset();
    }

    public void Dispose() => Statistics.Dispose();

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void Slow(Session session, CommandInfo command, in Request request, long ticks)
    {
        long microseconds = (long)(ticks * 1_000_000.0 / Stopwatch.Frequency);
        _latency.Add(command.Is(CommandFlags.Fast) ? "fast-command" : "command", microseconds / 1000);
        if (!command.Is(CommandFlags.SkipSlowlog)) SlowLog.Add(session, command, request, microseconds, _clock.NowMs);
    }

    private static bool IsError(ReadOnlySpan<byte> reply) => !reply.IsEmpty && reply[0] == '-';
}

/// <summary>A command that has begun to run, and replies later.</summary>
/// <param name="Command">The command.</param>
/// <param name="Request">Its request.</param>
/// <param name="Ticks">For how many <see cref="Stopwatch"/> ticks it has run so far.</param>
public readonly record struct WaitingCall(CommandInfo Command, OwnedRequest Request, long Ticks);
