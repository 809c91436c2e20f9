using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using System.Text;
using OrleansRedis.Engine;
using OrleansRedis.Grains;

namespace OrleansRedis.Silo;

/// <summary>
/// What an Orleans client sends, message by message: Orleans gets a message when it is complete and has been looked
/// through, and the end of the connection in the place of one that is refused.
/// <para>
/// A message (Orleans.Runtime.Messaging.MessageSerializer) is the lengths of its header and body, a header with who
/// calls whom, and a body, which is the call.
/// </para>
/// </summary>
/// <param name="input">What comes from the socket.</param>
/// <param name="introduction">How long the client's introduction is, which has been looked at but not been read.</param>
/// <param name="client">Who the client is.</param>
/// <param name="allowed">What it may call.</param>
/// <param name="users">Who may call.</param>
/// <param name="maxBodyBytes">The largest call.</param>
/// <param name="refused">Is told why the connection ends.</param>
internal sealed class ClientInput(
    PipeReader input, long introduction, ClientIdentity client, AllowedCalls allowed, AclUsers users, int maxBodyBytes, Action<string> refused)
    : PipeReader
{
    private const int LengthBytes = 2 * sizeof(int);

    /// <summary>A header has some names, and a request context with a password.</summary>
    private const int MaxHeaderBytes = 64 * 1024;

    /// <summary>
    /// The largest call of someone who has not given the password: enough to be told so. Otherwise anyone could have the
    /// server keep a hundred megabytes for each connection.
    /// </summary>
    private const int MaxStrangersBodyBytes = 64 * 1024;

    private const uint Request = 1, OneWay = 3;
    private const uint HasRequestContext = 1 << 4, HasInterfaceVersion = 1 << 5, HasInterfaceType = 1 << 6, HasCacheInvalidation = 1 << 7,
        HasTimeToLive = 1 << 8;

    private static readonly byte[] s_userKey = Encoding.UTF8.GetBytes(Caller.User), s_passwordKey = Encoding.UTF8.GetBytes(Caller.Password);

    private long _introduction = introduction;
    private SequencePosition _end;
    private bool _isHeaderChecked; // the header of the message that is not complete yet
    private bool _isRefused;

    /// <inheritdoc/>
    public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            ReadResult read = await input.ReadAsync(cancellationToken).ConfigureAwait(false);
            ReadOnlySequence<byte> buffer = read.Buffer;
            if (_introduction != 0)
            {
                buffer = buffer.Slice(0, _introduction);
                _introduction = 0;
                _end = buffer.End;
                return new(buffer, read.IsCanceled, isCompleted: false);
            }
            _end = buffer.End;
            long complete = 0;
            try
            {
                if (!_isRefused) complete = CheckMessages(buffer);
            }
            catch (RefusedException e)
            {
                _isRefused = true;
                refused(e.Message);
            }
            if (complete != 0 || _isRefused || read.IsCompleted || read.IsCanceled)
                return new(buffer.Slice(0, complete), read.IsCanceled, read.IsCompleted || _isRefused);
            input.AdvanceTo(buffer.Start, buffer.End);
        }
    }

    /// <inheritdoc/>
    public override void AdvanceTo(SequencePosition consumed) => AdvanceTo(consumed, consumed);

    /// <summary>
    /// Whoever reads gets nothing but complete messages and takes them all, so what remains is a part of a message,
    /// which has been looked at.
    /// </summary>
    public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => input.AdvanceTo(consumed, _end);

    /// <inheritdoc/>
    public override void CancelPendingRead() => input.CancelPendingRead();

    /// <inheritdoc/>
    public override void Complete(Exception? exception = null) => input.Complete(exception);

    /// <summary>Nobody asks without waiting.</summary>
    public override bool TryRead(out ReadResult result) => throw new NotSupportedException();

    /// <summary>Looks through the messages that are complete, and returns how many bytes they are.</summary>
    /// <exception cref="RefusedException">One of them is not allowed, or the one that is beginning cannot be.</exception>
    private long CheckMessages(in ReadOnlySequence<byte> buffer)
    {
        long complete = 0;
        while (true)
        {
            ReadOnlySequence<byte> rest = buffer.Slice(complete);
            if (rest.Length < LengthBytes) return complete;
            (int header, int body) = ReadLengths(rest);
            if (header is <= 0 or > MaxHeaderBytes || body < 0 || body > maxBodyBytes) throw new RefusedException("a message is too long");
            if (rest.Length < LengthBytes + header) return complete;
            if (!_isHeaderChecked) CheckHeader(rest.Slice(LengthBytes, header), body);
            _isHeaderChecked = true;
            if (rest.Length - LengthBytes - header < body) return complete;
            CheckBody(rest.Slice(LengthBytes + header, body));
            _isHeaderChecked = false;
            complete += LengthBytes + header + body;
        }
    }

    private void CheckHeader(in ReadOnlySequence<byte> header, int bodyBytes)
    {
        var reader = new WireReader(header, allowed);
        uint flags = reader.ReadUInt32(), direction = (flags >> 16) & 15, result = (flags >> 20) & 15;
        if (direction is not (Request or OneWay) || result != 0 || (flags & HasCacheInvalidation) != 0)
            throw new RefusedException("it sends something else than calls");
        _ = reader.ReadBytes(sizeof(long)); // the call's number
        if (!reader.ReadId().Holds(client.Type) || !reader.ReadId().Holds(client.Key)) throw new RefusedException("it calls in the name of someone else");
        if (!allowed.IsTarget(reader.ReadId())) throw new RefusedException("it calls a grain that is not for clients");
        _ = reader.ReadId(); // the grain's key
        _ = reader.ReadPayload(); // the silo that sends
        _ = reader.ReadPayload(); // the silo that receives
        if ((flags & HasTimeToLive) != 0) _ = reader.ReadUInt32();
        if ((flags & HasInterfaceType) != 0) _ = reader.ReadId();
        if ((flags & HasInterfaceVersion) != 0) _ = reader.ReadVarInt();
        bool isKnown = false;
        if ((flags & HasRequestContext) != 0) CheckRequestContext(ref reader, out isKnown);
        if (!reader.IsAtEnd) throw new RefusedException("a header is longer than its content");
        if (bodyBytes > MaxStrangersBodyBytes && !isKnown && !users.IsOpen)
            throw new RefusedException("it sends a large message without the password");
    }

    private void CheckRequestContext(ref WireReader reader, out bool isKnown)
    {
        byte[]? user = null, password = null;
        for (uint left = reader.ReadVarInt(); left > 0; left--)
        {
            uint length = reader.ReadVarInt(); // one more than it is; 0 would be no string
            ReadOnlySequence<byte> key = reader.ReadBytes(Math.Max(length, 1) - 1);
            WireField field = reader.ReadField();
            ReadOnlySequence<byte> value = reader.ReadSimple(field.Kind);
            if (key.Holds(s_userKey)) user = value.ToArray();
            else if (key.Holds(s_passwordKey)) password = value.ToArray();
        }
        isKnown = user is not null && users.Recognize(user, password) is not null;
    }

    private void CheckBody(in ReadOnlySequence<byte> body)
    {
        if (body.IsEmpty) return;
        var reader = new WireReader(body, allowed);
        if (reader.ReadField(isCall: true).Kind != WireKind.Object) throw new RefusedException("it sends something else than calls");
        reader.SkipObject();
        if (!reader.IsAtEnd) throw new RefusedException("a call is longer than its content");
    }

    private static (int Header, int Body) ReadLengths(in ReadOnlySequence<byte> message)
    {
        Span<byte> lengths = stackalloc byte[LengthBytes];
        message.Slice(0, LengthBytes).CopyTo(lengths);
        return (BinaryPrimitives.ReadInt32LittleEndian(lengths), BinaryPrimitives.ReadInt32LittleEndian(lengths[sizeof(int)..]));
    }
}
