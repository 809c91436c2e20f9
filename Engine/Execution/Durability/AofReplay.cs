using System.Globalization;
using System.Runtime.ExceptionServices;
using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Runs the commands in a file of the log, in their order. They are run a few at a time, so that the keys they will look
/// up can be prefetched together (<see cref="Foresight"/>).
/// </summary>
/// <param name="store">Where to.</param>
/// <param name="reader">The file.</param>
/// <param name="name">What messages call it.</param>
internal sealed class AofReplay(Store store, AofReader reader, string name)
{
    private const int MostErrorsLogged = 10;

    private readonly Session _session = new();
    private readonly RespWriter _reply = new();
    private int _errors;

    /// <summary>Runs the whole file.</summary>
    /// <exception cref="AofDamageException">Part of the file is not a command.</exception>
    public AofReplayEnd Run()
    {
        while (true)
        {
            AofBatch batch = reader.Take();
            Run(batch);
            if (batch.Failure is { } failure) ExceptionDispatchInfo.Throw(failure);
            if (batch.End is { } end) return end;
            reader.GiveBack(batch);
        }
    }

    private void Run(AofBatch batch)
    {
        int stripe = store.SiloGate.EnterShared();
        try
        {
            var call = new CommandContext(store, _session, _reply) { NowMs = store.Clock.NowMs, MayBlock = false };
            for (int from = 0; from < batch.Commands.Count; from += Store.MostForeseen)
                RunSome(ref call, batch, from, Math.Min(Store.MostForeseen, batch.Commands.Count - from), ref stripe);
        }
        finally
        {
            store.SiloGate.ExitShared(stripe);
        }
    }

    private void RunSome(ref CommandContext call, AofBatch batch, int from, int count, ref int stripe)
    {
        ReadOnlySpan<ForeseenKey> keys = batch.Keys.Slice(from, count);
        store.Foresee(keys, _session.Database);
        for (int i = 0; i < count; i++)
        {
            LoggedCommand next = batch.Commands[from + i];
            call.Request = batch.Request(next);
            call.Command = next.Command;
            call.SlotHint = keys[i].Slot;
            call.Continuation = null;
            Attempt attempt = store.Execute(ref call);
            if (attempt.Outcome != Outcome.Done) RunAlone(ref call, attempt, next, ref stripe);
            if (_reply.Written is [(byte)'-', ..]) Refused(next);
            _reply.Clear();
        }
    }

    /// <summary>Runs a command that must run alone, takes long, or found a gate taken.</summary>
    private void RunAlone(ref CommandContext call, Attempt attempt, in LoggedCommand command, ref int stripe)
    {
        if (attempt.Outcome != Outcome.SlotNotHere)
        {
            store.SiloGate.ExitShared(stripe);
            store.SiloGate.EnterExclusiveAsync().AsTask().GetAwaiter().GetResult();
            try
            {
                attempt = store.ExecuteExclusively(ref call);
            }
            finally
            {
                store.SiloGate.ExitExclusive();
                stripe = store.SiloGate.EnterShared();
            }
        }
        if (attempt.Outcome == Outcome.SlotNotHere)
            throw new AofDamageException(name, command.Offset, $"it is for a key of slot {attempt.Slot}, which is not on this silo");
    }

    /// <summary>
    /// Only commands that succeeded were logged, so a command that fails now finds different data than it did then.
    /// </summary>
    private void Refused(in LoggedCommand command)
    {
        string error = Encoding.UTF8.GetString(_reply.Written[1..^2]);
        if (command.Command.Name == "select") throw new AofDamageException(name, command.Offset, $"{error}; see the directive 'databases'");
        if (++_errors > MostErrorsLogged) return;
        store.Log.Warning(string.Create(CultureInfo.InvariantCulture,
            $"The command '{command.Command.Name}' at byte {command.Offset} of the append only file {name} could not be applied: {error}"));
    }
}
