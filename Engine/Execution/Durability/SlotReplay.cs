using System.Text;

namespace OrleansRedis.Engine;

/// <summary>
/// Brings slots that nobody else sees yet to the state that was stored for them. The commands of a log run in a store
/// of their own, where nothing expires and nobody listens: their effects have already happened, and been reported,
/// before. Used by one thread at a time.
/// </summary>
public sealed class SlotReplay : IDisposable
{
    private readonly Store _silo;
    private readonly Store _scratch;
    private readonly CommandTable _commands;
    private readonly Session _session = new();
    private readonly RespWriter _reply = new();
    private ArgumentList _arguments = new();

    /// <param name="silo">The store whose slots are recovered.</param>
    /// <param name="commands">The engine's commands.</param>
    public SlotReplay(Store silo, CommandTable commands)
    {
        _silo = silo;
        _commands = commands;
        _scratch = new(silo.Options, silo.Clock.Time, commands) { IgnoresExpiry = true };
    }

    /// <summary>Loads a piece of a slot's snapshot.</summary>
    public void Load(Slot slot, ReadOnlySpan<byte> piece) =>
        SlotSnapshots.Load(slot, piece, _silo.Options, _silo.Slots.Databases, _silo.Clock.NowMs);

    /// <summary>
    /// Runs the effects of a log record (<see cref="SlotRecord"/>), except for a number of them at its beginning.
    /// Throws <see cref="InvalidDataException"/> if one of them cannot be run: the slot's state is then not to be
    /// trusted.
    /// </summary>
    /// <returns>How many effects there were, including those left out.</returns>
    public long Run(Slot slot, ReadOnlySpan<byte> record, long leaveOut)
    {
        _session.Database = 0;
        long effects = 0, nowMs = _silo.Clock.NowMs;
        for (int at = 0; at < record.Length;)
        {
            _arguments.Clear();
            if (AofFrameReader.Read(record[at..], at, ref _arguments, out long length) != AofFrame.Command)
                throw new InvalidDataException($"A log record is damaged at byte {at}.");
            var request = new Request(record, _arguments.Slice(0, _arguments.Count), record.Slice(at, (int)length));
            at += (int)length;
            if (request[0].Is("SELECT"u8))
            {
                if (request.Count != 2 || !TryReadDatabase(request[1], out int database))
                    throw new InvalidDataException("The log tells of a database that there is not (see the directive databases).");
                _session.Database = database;
                continue;
            }
            if (++effects <= leaveOut) continue;
            Run(slot, request, nowMs);
            Retirement.Sweep(); // nobody else sees the slot yet, so that no gate is passed
        }
        return effects;
    }

    /// <summary>To be called when a slot has been brought up to date: its own history begins here.</summary>
    public static void Finish(Slot slot)
    {
        slot.Changes = slot.Hits = slot.Misses = 0;
        slot.Sequence = 0;
    }

    /// <summary>Gives up a slot that was never published, and the memory and keys counted for it.</summary>
    public static void Abandon(Store store, Slot slot)
    {
        slot.Gate.Enter();
        for (int database = 0; database < store.Slots.Databases; database++) slot.Clear(database);
        slot.Leave();
        store.Slots.Withdraw(slot);
    }

    public void Dispose() => _scratch.Dispose();

    private void Run(Slot slot, in Request request, long nowMs)
    {
        ReadOnlySpan<byte> name = request[0];
        if (name.Is("FLUSHALL"u8))
        {
            for (int database = 0; database < _silo.Slots.Databases; database++) slot.Clear(database);
            return;
        }
        if (name.Is("FLUSHDB"u8))
        {
            slot.Clear(_session.Database);
            return;
        }
        if (name.Is("SWAPDB"u8))
        {
            if (request.Count != 3 || !TryReadDatabase(request[1], out int first) || !TryReadDatabase(request[2], out int second))
                throw Failed(request, "its databases");
            slot.Swap(first, second);
            return;
        }
        if (_commands.ResolveLogged(request) is not { Method: not null } command || command.Is(CommandFlags.NeedsConnection)
            || !command.AcceptsCount(request.Count))
            throw Failed(request, "no such command");
        _reply.Clear();
        var call = new CommandContext(_scratch, _session, _reply) { Command = command, Request = request, NowMs = nowMs, MayBlock = false };
        call.BeginCommand(Hold.Slot, slot);
        try
        {
            command.Method(ref call);
        }
        catch
        {
            Retirement.Forget();
            throw;
        }
        if (_reply.Length > 0 && _reply.Written[0] == '-') throw Failed(request, Encoding.UTF8.GetString(_reply.Written).TrimEnd());
    }

    private bool TryReadDatabase(ReadOnlySpan<byte> text, out int database)
    {
        bool isNumber = Numbers.TryParseInt64(text, out long number) && number >= 0 && number < _silo.Slots.Databases;
        database = isNumber ? (int)number : 0;
        return isNumber;
    }

    private static InvalidDataException Failed(in Request request, string why) =>
        new($"A logged '{Encoding.Latin1.GetString(request[0])}' of {request.Count} words cannot be run: {why}");
}
