using System.Runtime.CompilerServices;

namespace OrleansRedis.Engine;

/// <summary>
/// Counts every command that is run or refused on this silo, whether it came from a client, from EXEC's queue or from a
/// grain call.
/// </summary>
public sealed class CommandObserver(CommandTable commands) : IDisposable
{
    /// <summary>Calls, failures and refusals by command.</summary>
    public CommandStatistics Statistics { get; } = new(commands);

    /// <summary>The error replies, by code.</summary>
    public ErrorStatistics Errors { get; } = new();

    /// <summary>
    /// A command has run. Passing the caller's own stripe of <see cref="Statistics"/> saves looking up the thread's.
    /// </summary>
    /// <param name="mine">The calling thread's stripe.</param>
    /// <param name="command">The command.</param>
    /// <param name="ticks">How many <see cref="System.Diagnostics.Stopwatch"/> ticks it ran for.</param>
    /// <param name="reply">Its reply; empty so far, if it waits.</param>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Ran(CommandStatistics.Stripe mine, CommandInfo command, long ticks, ReadOnlySpan<byte> reply)
    {
        bool failed = IsError(reply);
        mine.CountCall(command, ticks, failed);
        if (failed) Errors.Count(reply);
    }

    /// <inheritdoc cref="Ran(CommandStatistics.Stripe, CommandInfo, long, ReadOnlySpan{byte})"/>
    public void Ran(CommandInfo command, long ticks, ReadOnlySpan<byte> reply) => Ran(Statistics.Mine, command, ticks, reply);

    /// <summary>
    /// A command that had been waiting since <see cref="Ran(CommandInfo, long, ReadOnlySpan{byte})"/> has replied.
    /// </summary>
    public void Continued(CommandInfo command, ReadOnlySpan<byte> reply)
    {
        if (!IsError(reply)) return;
        Statistics.Mine.CountFailure(command);
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

    private static bool IsError(ReadOnlySpan<byte> reply) => !reply.IsEmpty && reply[0] == '-';
}
