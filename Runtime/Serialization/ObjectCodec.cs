using System.Reflection;
using System.Reflection.Emit;
using System.Runtime.CompilerServices;

namespace Orleans.Serialization;

/// <summary>A class, record or struct marked <see cref="GenerateSerializerAttribute"/>: per member its number + 1, its length and its value; 0 ends.
/// A reader skips numbers it doesn't know, and leaves members that are not there at their defaults.</summary>
internal sealed class ObjectCodec<T> : Codec<T?>
{
    private readonly bool _immutable = typeof(T).IsDefined(typeof(ImmutableAttribute), inherit: false);
    private readonly ConstructorInfo? _constructor = typeof(T).GetConstructor(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic, []);
    private readonly Lazy<SortedList<uint, MemberCodec<T>>> _members = new(() => MemberCodec<T>.All());

    public override bool IsImmutable => _immutable;

    public override void Write(WireWriter writer, T? value)
    {
        if (!typeof(T).IsValueType)
        {
            writer.Bool(value is not null);
            if (value is null) return;
        }

        if (++writer.Depth > 256) throw new SerializerException($"An object graph of {typeof(T)} is deeper than 256 levels, or has a cycle");
        foreach ((uint id, MemberCodec<T> member) in _members.Value)
        {
            writer.VarUInt((ulong)id + 1);
            int start = writer.BeginLength();
            member.Write(writer, ref value!);
            writer.EndLength(start);
        }

        writer.Byte(0);
        writer.Depth--;
    }

    public override T? Read(WireReader reader)
    {
        if (!typeof(T).IsValueType && !reader.Bool()) return default;
        T value = New();
        ReadMembers(reader, ref value);
        return value;
    }

    /// <summary>Reads members into an object that exists already.</summary>
    public void ReadMembers(WireReader reader, ref T value)
    {
        for (ulong id = reader.VarUInt(); id != 0; id = reader.VarUInt())
        {
            int length = (int)reader.Fixed32();
            int end = reader.Position + length;
            if (_members.Value.TryGetValue((uint)(id - 1), out MemberCodec<T>? member)) member.Read(reader, ref value);
            reader.SkipTo(end);
        }
    }

    public override T? Copy(T? value)
    {
        if (value is null || _immutable) return value;
        T copy = New();
        foreach (MemberCodec<T> member in _members.Value.Values) member.Copy(ref value, ref copy);
        return copy;
    }

    private T New()
    {
        if (typeof(T).IsValueType) return default!;
        return _constructor is null ? (T)RuntimeHelpers.GetUninitializedObject(typeof(T)) : (T)_constructor.Invoke(null);
    }
}

/// <summary>One member of a type with <see cref="ObjectCodec{T}"/>.</summary>
internal abstract class MemberCodec<TOwner>
{
    /// <summary>The numbers of primary constructor parameters, which are not the numbers of the members of the body.</summary>
    private const uint PrimaryConstructorBase = 1 << 20;

    /// <summary>The numbers of base classes' members, one such range per level.</summary>
    private const uint BaseClassRange = 1 << 21;

    public abstract void Write(WireWriter writer, ref TOwner owner);

    public abstract void Read(WireReader reader, ref TOwner owner);

    public abstract void Copy(ref TOwner from, ref TOwner to);

    public static SortedList<uint, MemberCodec<TOwner>> All()
    {
        var members = new SortedList<uint, MemberCodec<TOwner>>();
        uint offset = 0;
        for (Type? type = typeof(TOwner); type is not null && type != typeof(object) && type != typeof(ValueType); type = type.BaseType, offset += BaseClassRange)
        {
            if (!type.IsDefined(typeof(GenerateSerializerAttribute), inherit: false)) continue;
            Dictionary<string, uint> positional = PrimaryConstructorParameters(type);
            foreach (MemberInfo member in type.GetMembers(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
            {
                if (member is not (FieldInfo or PropertyInfo)) continue;
                uint id;
                if (member.GetCustomAttribute<IdAttribute>() is { } given) id = given.Id;
                else if (member is PropertyInfo && positional.TryGetValue(member.Name, out uint position)) id = PrimaryConstructorBase + position;
                else continue;
                if (!members.TryAdd(offset + id, Create(type, member)))
                    throw new SerializerException($"{type} has two members with [Id({id})]");
            }
        }

        return members;
    }

    private static Dictionary<string, uint> PrimaryConstructorParameters(Type type)
    {
        bool isRecord = type.GetMethod("<Clone>$") is not null || (type.IsValueType && type.GetMethod("PrintMembers", BindingFlags.Instance | BindingFlags.NonPublic) is not null);
        var positional = new Dictionary<string, uint>();
        if (!isRecord) return positional;
        ConstructorInfo? primary = type.GetConstructors(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic)
            .Where(constructor => constructor.GetParameters() is { Length: > 0 } parameters && !(parameters.Length == 1 && parameters[0].ParameterType == type))
            .MaxBy(constructor => constructor.GetParameters().Length);
        foreach (ParameterInfo parameter in primary?.GetParameters() ?? [])
            positional[parameter.Name!] = parameter.GetCustomAttribute<IdAttribute>()?.Id is { } id ? unchecked(id - PrimaryConstructorBase) : (uint)parameter.Position;
        return positional;
    }

    private static MemberCodec<TOwner> Create(Type declaring, MemberInfo member)
    {
        Type type = member is FieldInfo declaredField ? declaredField.FieldType : ((PropertyInfo)member).PropertyType;
        FieldInfo? field = member as FieldInfo ?? declaring.GetField($"<{member.Name}>k__BackingField", BindingFlags.Instance | BindingFlags.NonPublic)
            ?? declaring.GetField($"<{member.Name}>P", BindingFlags.Instance | BindingFlags.NonPublic);
        return (MemberCodec<TOwner>)Activator.CreateInstance(typeof(Typed<>).MakeGenericType(typeof(TOwner), type), member, field)!;
    }

    private delegate TMember Getter<TMember>(ref TOwner owner);

    private delegate void Setter<TMember>(ref TOwner owner, TMember value);

    private sealed class Typed<TMember> : MemberCodec<TOwner>
    {
        private readonly Getter<TMember> _get;
        private readonly Setter<TMember> _set;
        private readonly Lazy<Codec<TMember>> _codec;
        private readonly bool _immutable;

        public Typed(MemberInfo member, FieldInfo? field)
        {
            _immutable = member.IsDefined(typeof(ImmutableAttribute), inherit: false);
            _codec = new(() =>
            {
                try
                {
                    return CodecProvider.Get<TMember>();
                }
                catch (CodecNotFoundException exception)
                {
                    throw new CodecNotFoundException($"{exception.Message} It is the type of {member.DeclaringType}.{member.Name}.");
                }
            });
            _get = (Getter<TMember>)Access(field, (member as PropertyInfo)?.GetGetMethod(true), typeof(TMember), [typeof(TOwner).MakeByRefType()], typeof(Getter<TMember>), member);
            _set = (Setter<TMember>)Access(field, (member as PropertyInfo)?.GetSetMethod(true), typeof(void), [typeof(TOwner).MakeByRefType(), typeof(TMember)], typeof(Setter<TMember>), member);
        }

        public override void Write(WireWriter writer, ref TOwner owner) => _codec.Value.Write(writer, _get(ref owner));

        public override void Read(WireReader reader, ref TOwner owner) => _set(ref owner, _codec.Value.Read(reader));

        public override void Copy(ref TOwner from, ref TOwner to)
        {
            TMember value = _get(ref from);
            _set(ref to, _immutable || _codec.Value.IsImmutable ? value : _codec.Value.Copy(value));
        }

        /// <summary>Emitted code may write init-only fields and private ones, which compiled expressions may not.</summary>
        private static Delegate Access(FieldInfo? field, MethodInfo? accessor, Type result, Type[] parameters, Type delegateType, MemberInfo member)
        {
            if (field is null && accessor is null)
                throw new SerializerException($"{member.DeclaringType}.{member.Name} has an [Id] but cannot be both read and written");
            var method = new DynamicMethod("Access_" + member.Name, result, parameters, typeof(TOwner), skipVisibility: true);
            ILGenerator il = method.GetILGenerator();
            il.Emit(OpCodes.Ldarg_0);
            if (!typeof(TOwner).IsValueType) il.Emit(OpCodes.Ldind_Ref);
            if (parameters.Length == 2) il.Emit(OpCodes.Ldarg_1);
            if (field is not null) il.Emit(parameters.Length == 2 ? OpCodes.Stfld : OpCodes.Ldfld, field);
            else il.Emit(OpCodes.Call, accessor!);
            il.Emit(OpCodes.Ret);
            return method.CreateDelegate(delegateType);
        }
    }
}
