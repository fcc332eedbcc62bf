//! The enums of operations and job types known by name, with a site for the spans that are created
//! by hand. The names come from the tables in percolate-macros.

/// Declares an enum from its rows. The variant `Other` is any other name: its site has the given
/// name, and each span its own.
macro_rules! named_sites {
    (
        $(#[$about:meta])*
        pub enum $Names:ident: $kind:ident {
            $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)*
        }
        $(#[$other_doc:meta])*
        Other = $other:literal;
        $(#[$as_str_doc:meta])*
        as_str;
        attributes = $attributes:expr;
    ) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $Names {
            $($(#[$variant_doc])* $variant,)*
            $(#[$other_doc])* Other(&'static str),
        }

        impl $Names {
            $(#[$as_str_doc])*
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                    Self::Other(name) => name,
                }
            }

            fn site(self) -> &'static crate::site::Site {
                const BY_HAND: u32 = $attributes;
                match self {
                    $(Self::$variant => {
                        crate::__private::site!(SITE, $kind, INFO, BY_HAND, [], { name: $name, by_hand: true });
                        &SITE
                    })*
                    Self::Other(_) => {
                        crate::__private::site!(SITE, $kind, INFO, BY_HAND, [], { name: $other, by_hand: true });
                        &SITE
                    }
                }
            }
        }
    };
}

pub(super) use named_sites;
