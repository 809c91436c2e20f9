using System.Buffers;

namespace OrleansRedis.Engine;

/// <summary>
/// Publishes what happens to keys (notify-keyspace-events): on __keyspace@db__:key the event's name, and on
/// __keyevent@db__:event the key's. While all is off, <see cref="EffectStream.KeyEvents"/> is null, and whoever changes a
/// key reads that and no more.
/// </summary>
public sealed class KeyspaceEvents(EffectStream effects, IPubSub pubSub) : IKeyEventConsumer
{
    private KeyEvents _classes;
    private bool _byKey;
    private bool _byEvent;

    /// <summary>Puts the directive's value into force. Callable from any thread.</summary>
    public void Listen(string letters)
    {
        var classes = KeyEvents.None;
        foreach (char letter in letters) classes |= ClassesOf(letter);
        _byKey = letters.Contains('K');
        _byEvent = letters.Contains('E');
        _classes = classes;
        effects.KeyEvents = classes != KeyEvents.None && (_byKey || _byEvent) ? this : null;
    }

    /// <inheritdoc/>
    public void OnKeyEvent(KeyEvents kind, ReadOnlySpan<byte> name, ReadOnlySpan<byte> key, int database)
    {
        if ((_classes & kind) == 0) return;
        if (_byKey) Publish("__keyspace@"u8, database, key, name);
        if (_byEvent) Publish("__keyevent@"u8, database, name, key);
    }

    private void Publish(ReadOnlySpan<byte> prefix, int database, ReadOnlySpan<byte> what, ReadOnlySpan<byte> message)
    {
        const int MostOnStack = 256;
        int most = prefix.Length + "-2147483648__:".Length + what.Length;
        byte[]? rented = most <= MostOnStack ? null : ArrayPool<byte>.Shared.Rent(most);
        Span<byte> channel = rented ?? stackalloc byte[MostOnStack];
        prefix.CopyTo(channel);
        int length = prefix.Length;
        length += Numbers.FormatInt64(database, channel[length..]);
        "__:"u8.CopyTo(channel[length..]);
        length += "__:".Length;
        what.CopyTo(channel[length..]);
        pubSub.Publish(channel[..(length + what.Length)], message, isSharded: false);
        if (rented is not null) ArrayPool<byte>.Shared.Return(rented);
    }

    private static KeyEvents ClassesOf(char letter) => letter switch
    {
        'g' => KeyEvents.Generic,
        '$' => KeyEvents.String,
        'l' => KeyEvents.List,
        's' => KeyEvents.Set,
        'h' => KeyEvents.Hash,
        'z' => KeyEvents.SortedSet,
        'x' => KeyEvents.Expired,
        'e' => KeyEvents.Evicted,
        't' => KeyEvents.Stream,
        'm' => KeyEvents.KeyMiss,
        'n' => KeyEvents.New,
        'A' => KeyEvents.Generic | KeyEvents.String | KeyEvents.List | KeyEvents.Set | KeyEvents.Hash | KeyEvents.SortedSet | KeyEvents.Expired
            | KeyEvents.Evicted | KeyEvents.Stream,
        _ => KeyEvents.None, // d: the events of modules, of which there are none
    };
}
