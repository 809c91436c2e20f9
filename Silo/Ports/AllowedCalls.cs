using System.Buffers;
using System.Reflection;
using Microsoft.Extensions.Options;
using Orleans.Configuration;
using Orleans.Serialization.Buffers;
using Orleans.Serialization.Configuration;
using Orleans.Serialization.Invocation;
using Orleans.Serialization.Session;
using OrleansRedis.Grains;

namespace OrleansRedis.Silo;

/// <summary>
/// What an Orleans client may ask for: the calls of our own grains, their cancellation, and the list of the grains that
/// there are, without which no client starts. Everything else that Orleans offers to whoever reaches its gateway is
/// refused: its management, its membership, its directories, and every other type that its serializer knows.
/// </summary>
internal sealed class AllowedCalls
{
    /// <summary>The types that values of a request context may have.</summary>
    private static readonly Type[] s_simple =
    [
        typeof(bool), typeof(byte), typeof(sbyte), typeof(short), typeof(ushort), typeof(int), typeof(uint), typeof(long), typeof(ulong), typeof(float),
        typeof(double), typeof(char), typeof(string), typeof(byte[]), typeof(Guid), typeof(DateTime), typeof(TimeSpan),
    ];

    private readonly byte[][] _targets;
    private readonly byte[][] _calls;
    private readonly HashSet<uint> _simple;

    public AllowedCalls(IGrainFactory grains, SerializerSessionPool sessions, IOptions<TypeManifestOptions> types)
    {
        _targets = [grains.GetGrain<IHashSlotGrain>(0).GetGrainId().Type.AsSpan().ToArray(), "sys.svc.manifest"u8.ToArray()];
        _simple = [.. types.Value.WellKnownTypeIds.Where(known => s_simple.Contains(known.Value)).Select(known => known.Key)];
        Assembly orleans = typeof(ConnectionOptions).Assembly;
        Type[] interfaces =
        [
            typeof(IHashSlotGrain),
            orleans.GetType("Orleans.Runtime.IGrainCallCancellationExtension", throwOnError: true)!,
            orleans.GetType("Orleans.Runtime.IClusterManifestSystemTarget", throwOnError: true)!,
        ];
        _calls = [.. interfaces.SelectMany(CallsOf).Select(call => Encode(call, sessions))];
    }

    /// <summary>Whether it is the type of a grain that clients may call.</summary>
    public bool IsTarget(ReadOnlySequence<byte> grainType) => Array.Exists(_targets, target => grainType.Holds(target));

    /// <summary>Whether it is the number of a simple type.</summary>
    public bool IsSimple(uint wellKnown) => _simple.Contains(wellKnown);

    /// <summary>
    /// Reads an encoded type, if it is one of the allowed calls. The bytes are compared as they are: a name of thousands
    /// of nested types must not even be parsed, nor may Orleans learn the same name again under another hash.
    /// </summary>
    public bool TryReadCall(ref SequenceReader<byte> reader)
    {
        foreach (byte[] call in _calls)
        {
            if (reader.IsNext(call, advancePast: true)) return true;
        }
        return false;
    }

    /// <summary>The classes that Orleans has made for the calls of a grain interface.</summary>
    private static Type[] CallsOf(Type grain)
    {
        Type[] calls =
        [
            .. grain.Assembly.GetTypes().Where(type => typeof(IInvokable).IsAssignableFrom(type)
                && type.GetCustomAttributes<CompoundTypeAliasAttribute>().Any(alias => alias.Components.Contains(grain))),
        ];
        return calls.Length != 0 ? calls : throw new InvalidOperationException($"This version of Orleans names the calls of {grain} in another way.");
    }

    private static byte[] Encode(Type call, SerializerSessionPool sessions)
    {
        using SerializerSession session = sessions.GetSession();
        var bytes = new ArrayBufferWriter<byte>();
        Writer<ArrayBufferWriter<byte>> writer = Writer.Create(bytes, session);
        session.TypeCodec.WriteEncodedType(ref writer, call);
        writer.Commit();
        return bytes.WrittenSpan.ToArray();
    }
}

internal static class Sequences
{
    /// <summary>Whether a sequence consists of these bytes.</summary>
    public static bool Holds(this in ReadOnlySequence<byte> sequence, ReadOnlySpan<byte> bytes) =>
        sequence.Length == bytes.Length && new SequenceReader<byte>(sequence).IsNext(bytes);
}
