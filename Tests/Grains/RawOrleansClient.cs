using System.Buffers;
using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Reflection;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Serialization;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Invocation;
using Orleans.Serialization.Session;
using Orleans.Serialization.WireProtocol;
using OrleansRedis.Grains;
using OrleansRedis.Tests.Harness;
using Xunit;
using Message = byte[];

namespace OrleansRedis.Tests.Grains;

/// <summary>
/// Speaks the protocol of Orleans's gateway and silos by hand, so that it can say what no client would. Messages are
/// made by Orleans's own writer, field by field.
/// </summary>
internal sealed class RawOrleansClient : IAsyncDisposable
{
    private const string ClientType = "sys.client";
    private static readonly ServiceProvider s_services = new ServiceCollection().AddSerializer().BuildServiceProvider();

    private readonly Socket _socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };

    private RawOrleansClient()
    {
    }

    public string Key { get; } = Guid.NewGuid().ToString("N");

    public static async Task<RawOrleansClient> ConnectAsync(int port, IPAddress? address = null)
    {
        var client = new RawOrleansClient();
        try
        {
            await client._socket.ConnectAsync(address ?? IPAddress.Loopback, port);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.ConnectionReset)
        {
            // The server has hung up already.
        }
        return client;
    }

    /// <summary>A client that has introduced itself, and has been answered.</summary>
    public static async Task<RawOrleansClient> IntroducedAsync(int port)
    {
        RawOrleansClient client = await ConnectAsync(port);
        await client.SendAsync(client.Introduction());
        byte[] length = await client.ReadAsync(sizeof(int));
        await client.ReadAsync(BinaryPrimitives.ReadInt32LittleEndian(length));
        return client;
    }

    public async Task SendAsync(Message message)
    {
        try
        {
            await _socket.SendAsync(message);
        }
        catch (SocketException)
        {
            // The server may hang up before it has everything.
        }
    }

    /// <summary>Sends nothing more.</summary>
    public void EndSending()
    {
        try
        {
            _socket.Shutdown(SocketShutdown.Send);
        }
        catch (SocketException)
        {
            // The server has hung up.
        }
    }

    public async Task<byte[]> ReadAsync(int count)
    {
        var bytes = new byte[count];
        for (int read = 0; read < count;)
        {
            int some = await _socket.ReceiveAsync(bytes.AsMemory(read)).AsTask().WaitAsync(Eventually.Deadline);
            Assert.NotEqual(0, some);
            read += some;
        }
        return bytes;
    }

    /// <summary>What the server says until it hangs up.</summary>
    public async Task<byte[]> ReadToEndAsync()
    {
        var all = new MemoryStream();
        var some = new byte[4096];
        try
        {
            while (await _socket.ReceiveAsync(some).WaitAsync(Eventually.Deadline) is > 0 and int count) all.Write(some, 0, count);
        }
        catch (SocketException)
        {
            // It has hung up with something unread.
        }
        return all.ToArray();
    }

    /// <summary>The first message of a connection: who it is, and of which cluster.</summary>
    public Message Introduction(string clusterId = "orleansredis", string type = ClientType, string? key = null) => Prefixed(Write(
        (ref Writer<ArrayBufferWriter<byte>> writer) =>
        {
            writer.WriteFieldHeaderExpected(0, WireType.TagDelimited);
            writer.WriteFieldHeader(0, typeof(int), typeof(byte), WireType.VarInt);
            writer.WriteVarUInt32(1);
            writer.WriteFieldHeaderExpected(1, WireType.TagDelimited);
            // A grain's type is its name in a wrapper; its key is a name.
            writer.WriteFieldHeaderExpected(0, WireType.TagDelimited);
            Name(ref writer, 0, type);
            writer.WriteEndObject();
            Name(ref writer, 1, key ?? Key);
            writer.WriteEndObject();
            writer.WriteFieldHeaderExpected(2, WireType.LengthPrefixed);
            Bytes(ref writer, clusterId);
            writer.WriteEndObject();
        }));

    /// <summary>A call, with its lengths before it.</summary>
    /// <param name="body">The call itself.</param>
    /// <param name="grainType">The type of the grain that it is for.</param>
    /// <param name="grainKey">The grain's key.</param>
    /// <param name="direction">1 is a request, 2 a response, 3 a call without one.</param>
    /// <param name="sender">Which client it is from.</param>
    /// <param name="context">The request context.</param>
    public Message Call(byte[] body, string grainType = "hashslot", string grainKey = "0", uint direction = 1, string? sender = null, byte[]? context = null)
    {
        byte[] header = Write((ref Writer<ArrayBufferWriter<byte>> writer) =>
        {
            writer.WriteUInt32((direction << 16) | (context is null ? 0u : 1 << 4));
            writer.WriteInt64(1);
            foreach (string id in (string[])[ClientType, sender ?? Key, grainType, grainKey]) IdSpanCodec.WriteRaw(ref writer, IdSpan.Create(id));
            writer.WriteVarUInt32(0); // the sender's silo
            writer.WriteVarUInt32(0); // the receiver's
            if (context is not null) writer.Write(context);
        });
        return Framed(header.Length, body.Length, [.. header, .. body]);
    }

    /// <summary>Two lengths, true or not, and what follows them.</summary>
    public static Message Framed(int headerLength, int bodyLength, byte[] rest)
    {
        var message = new byte[8 + rest.Length];
        BinaryPrimitives.WriteInt32LittleEndian(message, headerLength);
        BinaryPrimitives.WriteInt32LittleEndian(message.AsSpan(4), bodyLength);
        rest.CopyTo(message, 8);
        return message;
    }

    /// <summary>A call of a grain of ours, whose fields are up to the caller.</summary>
    public static byte[] Execute(Fields fields) => Write((ref Writer<ArrayBufferWriter<byte>> writer) =>
    {
        Type call = typeof(IHashSlotGrain).Assembly.GetTypes().Single(type => typeof(IInvokable).IsAssignableFrom(type)
            && type.GetCustomAttributes<CompoundTypeAliasAttribute>().Any(alias => alias.Components.Contains("Execute")));
        writer.WriteFieldHeader(0, null!, call, WireType.TagDelimited);
        fields(ref writer);
        writer.WriteEndObject();
    });

    public static byte[] Write(Fields fields)
    {
        using SerializerSession session = s_services.GetRequiredService<SerializerSessionPool>().GetSession();
        var bytes = new ArrayBufferWriter<byte>();
        Writer<ArrayBufferWriter<byte>> writer = Writer.Create(bytes, session);
        fields(ref writer);
        writer.Commit();
        return bytes.WrittenSpan.ToArray();
    }

    public ValueTask DisposeAsync()
    {
        _socket.Dispose();
        return default;
    }

    public delegate void Fields(ref Writer<ArrayBufferWriter<byte>> writer);

    private static void Name(ref Writer<ArrayBufferWriter<byte>> writer, uint delta, string name)
    {
        writer.WriteFieldHeaderExpected(delta, WireType.TagDelimited);
        writer.WriteFieldHeaderExpected(0, WireType.Fixed32);
        writer.WriteInt32((int)IdSpan.Create(name).GetUniformHashCode());
        writer.WriteFieldHeaderExpected(1, WireType.LengthPrefixed);
        Bytes(ref writer, name);
        writer.WriteEndObject();
    }

    private static void Bytes(ref Writer<ArrayBufferWriter<byte>> writer, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        writer.WriteVarUInt32((uint)bytes.Length);
        writer.Write(bytes);
    }

    private static Message Prefixed(byte[] message)
    {
        var prefixed = new byte[sizeof(int) + message.Length];
        BinaryPrimitives.WriteInt32LittleEndian(prefixed, message.Length);
        message.CopyTo(prefixed, sizeof(int));
        return prefixed;
    }
}
